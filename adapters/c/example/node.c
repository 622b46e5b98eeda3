#include "node.h"

#include <string.h>

#include "board.h"
#include "lwip/netif.h"
#include "lwip/tcp.h"
#include "lwip/udp.h"
#include "thermostat.h"

enum { CONNECTIONS = 2, STREAMS = 4, BUFFER = 1024, SOCKETS = 1 + 3 * 4, TCPS = CONNECTIONS + 3 };

struct tcp {
  struct tcp_pcb *pcb; /* NULL: free */
  genkan_stream_id id;
  uint8_t connected;
  size_t length;
  uint8_t in[GENKAN_MAX_FRAME];
  struct pbuf *waiting; /* Arrived, and not in `in` yet. */
};

struct session {
  genkan_connection_id id;
  genkan_streams *streams; /* NULL: free */
  struct thermostat_visitor visitor;
};

#define ALIGNED __attribute__((aligned(GENKAN_ALIGN)))
static uint8_t acceptor_memory[GENKAN_ACCEPTOR_SIZE(CONNECTIONS)] ALIGNED;
static uint8_t streams_memory[CONNECTIONS][(GENKAN_STREAMS_SIZE(STREAMS, BUFFER) + 15) / 16 * 16] ALIGNED;
static genkan_acceptor *acceptor;
static struct {
  struct udp_pcb *pcb; /* NULL: free */
  uint16_t name;
} sockets[SOCKETS];
static struct tcp tcps[TCPS];
static struct session sessions[CONNECTIONS];

static genkan_address address_of(const ip_addr_t *ip, uint16_t port) {
  genkan_address address;
  uint32_t raw = ip4_addr_get_u32(ip_2_ip4(ip));
  memset(&address, 0, sizeof address);
  memcpy(address.ip, &raw, 4);
  address.port = port;
  address.family = 4;
  return address;
}

static ip_addr_t ip_of(const genkan_address *address) {
  ip_addr_t ip;
  uint32_t raw;
  memcpy(&raw, address->ip, 4);
  ip_addr_set_ip4_u32_val(ip, raw);
  return ip;
}

static struct session *session_of(genkan_connection_id id) {
  struct session *session = id.index < CONNECTIONS ? &sessions[id.index] : NULL;
  int same = session != NULL && session->streams != NULL && session->id.generation == id.generation;
  return same ? session : NULL;
}

static struct tcp *tcp_of(genkan_stream_id id) {
  int i;
  for (i = 0; i < TCPS; i++) {
    int same = tcps[i].id.index == id.index && tcps[i].id.generation == id.generation;
    if (tcps[i].pcb != NULL && same) return &tcps[i];
  }
  return NULL;
}

static int tell_all(uint64_t now);

static void deliver(const genkan_received *received, uint64_t now) {
  struct session *session;
  if (received->kind != GENKAN_RECEIVED_KIND_PAYLOAD || received->channel != GENKAN_CHANNEL_STREAM) return;
  /* The event that tells of its connection may still wait. */
  tell_all(now);
  session = session_of(received->connection);
  if (session != NULL) genkan_streams_handle_packet(session->streams, now, received->payload, received->length);
}

/* --- UDP --- */

static void datagram_arrived(void *name, struct udp_pcb *pcb, struct pbuf *pbuf, const ip_addr_t *ip, u16_t port) {
  static uint8_t datagram[GENKAN_MAX_DATAGRAM + 1];
  genkan_received received;
  genkan_address remote = address_of(ip, port);
  uint64_t now = board_micros();
  uint16_t length = pbuf_copy_partial(pbuf, datagram, sizeof datagram, 0);
  (void)pcb;
  pbuf_free(pbuf);
  if (genkan_handle_datagram(acceptor, now, (uint16_t)(uintptr_t)name, &remote, datagram, length, &received) ==
      GENKAN_ERROR_OK) {
    deliver(&received, now);
  }
}

static struct udp_pcb *socket_of(uint16_t name) {
  int i;
  for (i = 0; i < SOCKETS; i++) {
    if (sockets[i].pcb != NULL && sockets[i].name == name) return sockets[i].pcb;
  }
  return NULL;
}

static void close_sockets(uint16_t first, unsigned count) {
  int i;
  for (i = 0; i < SOCKETS; i++) {
    if (sockets[i].pcb != NULL && sockets[i].name >= first && sockets[i].name - first < (int)count) {
      udp_remove(sockets[i].pcb);
      sockets[i].pcb = NULL;
    }
  }
}

/* Port 0: any. */
static struct udp_pcb *open_socket(uint16_t name, uint16_t port) {
  int i;
  for (i = 0; i < SOCKETS; i++) {
    struct udp_pcb *pcb = sockets[i].pcb == NULL ? udp_new() : NULL;
    if (pcb == NULL) continue;
    if (udp_bind(pcb, IP_ANY_TYPE, port) != ERR_OK) {
      udp_remove(pcb);
      return NULL;
    }
    udp_recv(pcb, datagram_arrived, (void *)(uintptr_t)name);
    sockets[i].pcb = pcb;
    sockets[i].name = name;
    return pcb;
  }
  return NULL;
}

/* The first gets any port, the others those that follow: lwIP gives out ports one after the other. */
static void open_sockets(uint16_t first, unsigned count, uint64_t now) {
  struct udp_pcb *pcb = open_socket(first, 0);
  uint16_t port = pcb == NULL ? 0 : pcb->local_port;
  unsigned i = pcb == NULL ? 0 : 1;
  genkan_address local = address_of(&netif_default->ip_addr, port);
  while (i > 0 && i < count && open_socket((uint16_t)(first + i), (uint16_t)(port + i)) != NULL) i++;
  if (i < count) close_sockets(first, count);
  genkan_handle_bound(acceptor, now, first, i < count ? NULL : &local);
}

static void send_datagram(uint16_t name, const genkan_address *remote, uint8_t hops, const uint8_t *bytes,
                          size_t length) {
  struct udp_pcb *pcb = socket_of(name);
  struct pbuf *pbuf = pcb == NULL ? NULL : pbuf_alloc(PBUF_TRANSPORT, (u16_t)length, PBUF_RAM);
  ip_addr_t ip = ip_of(remote);
  if (pbuf == NULL) return; /* Lost, as any datagram may be. */
  pbuf_take(pbuf, bytes, (u16_t)length);
  pcb->ttl = hops > 0 ? hops : UDP_TTL;
  udp_sendto(pcb, pbuf, &ip, remote->port);
  pbuf_free(pbuf);
}

/* --- TCP --- */

static int has_room(const struct tcp *tcp) {
  return tcp->connected && tcp_sndbuf(tcp->pcb) >= GENKAN_MAX_FRAME &&
         tcp_sndqueuelen(tcp->pcb) + 4 < TCP_SND_QUEUELEN;
}

/* lwIP has freed the connection already. */
static void forget(struct tcp *tcp) {
  if (tcp->waiting != NULL) pbuf_free(tcp->waiting);
  memset(tcp, 0, sizeof *tcp);
}

/* In order: what was written is still sent. What comes later has nobody to go to. Answers what lwIP
 * wants to hear from a callback that ends its connection so. */
static err_t close_tcp(struct tcp *tcp) {
  struct tcp_pcb *pcb = tcp->pcb;
  tcp_arg(pcb, NULL);
  tcp_err(pcb, NULL);
  tcp_recv(pcb, NULL);
  forget(tcp);
  if (tcp_close(pcb) == ERR_OK) return ERR_OK;
  tcp_abort(pcb);
  return ERR_ABRT;
}

/* A frame must go whole: a connection that has lost one is of no use any more. */
static void write_tcp(struct tcp *tcp, const uint8_t *bytes, size_t length, uint64_t now) {
  genkan_stream_id id = tcp->id;
  if (tcp_write(tcp->pcb, bytes, (u16_t)length, TCP_WRITE_FLAG_COPY) == ERR_OK) return;
  close_tcp(tcp);
  genkan_handle_closed(acceptor, now, id);
}

static void tcp_failed(void *arg, err_t error) {
  struct tcp *tcp = arg;
  genkan_stream_id id;
  (void)error;
  if (tcp == NULL) return;
  id = tcp->id;
  forget(tcp);
  genkan_handle_closed(acceptor, board_micros(), id);
}

/* Frames out of what has arrived. */
static void read_tcp(struct tcp *tcp, uint64_t now) {
  for (;;) {
    genkan_received received;
    size_t consumed;
    uint16_t taken = 0;
    if (tcp->waiting != NULL) {
      taken = pbuf_copy_partial(tcp->waiting, tcp->in + tcp->length, (u16_t)(sizeof tcp->in - tcp->length), 0);
      tcp->waiting = pbuf_free_header(tcp->waiting, taken);
      tcp->length += taken;
      tcp_recved(tcp->pcb, taken);
    }
    if (genkan_handle_stream(acceptor, now, tcp->id, tcp->in, tcp->length, &consumed, &received) != GENKAN_ERROR_OK) {
      return;
    }
    if (consumed == 0 && taken == 0) return;
    deliver(&received, now);
    tcp->length -= consumed;
    memmove(tcp->in, tcp->in + consumed, tcp->length);
  }
}

/* Takes over what has arrived; the main loop looks into it. NULL: the other end has finished. */
static err_t tcp_arrived(void *arg, struct tcp_pcb *pcb, struct pbuf *pbuf, err_t error) {
  struct tcp *tcp = arg;
  (void)pcb;
  (void)error;
  if (pbuf == NULL) {
    genkan_stream_id id = tcp->id;
    uint64_t now = board_micros();
    read_tcp(tcp, now);
    genkan_handle_closed(acceptor, now, id);
    return close_tcp(tcp);
  }
  if (tcp->waiting == NULL) {
    tcp->waiting = pbuf;
  } else {
    pbuf_cat(tcp->waiting, pbuf);
  }
  return ERR_OK;
}

static err_t tcp_stands(void *arg, struct tcp_pcb *pcb, err_t error) {
  struct tcp *tcp = arg;
  (void)pcb;
  (void)error;
  tcp->connected = 1;
  genkan_handle_connected(acceptor, board_micros(), tcp->id);
  return ERR_OK;
}

/* From the port of the connection `beside`, where one is named. lwIP does not answer a call that comes
 * while it calls itself; an end that does so answers ours. Two appliances with lwIP would not meet, but
 * at the other end is an issuer. */
static void connect_tcp(const genkan_command *command, uint64_t now) {
  ip_addr_t ip = ip_of(&command->remote);
  int i, shares = command->kind == GENKAN_COMMAND_KIND_CONNECT_FROM;
  struct tcp *beside = shares ? tcp_of(command->beside) : NULL;
  for (i = 0; i < TCPS; i++) {
    struct tcp *tcp = &tcps[i];
    if (tcp->pcb != NULL) continue;
    tcp->pcb = tcp_new();
    if (tcp->pcb == NULL) break;
    tcp->id = command->stream;
    tcp_nagle_disable(tcp->pcb);
    tcp_arg(tcp->pcb, tcp);
    tcp_err(tcp->pcb, tcp_failed);
    tcp_recv(tcp->pcb, tcp_arrived);
    ip_set_option(tcp->pcb, SOF_REUSEADDR); /* Both that share a port must have it. */
    if ((!shares || (beside != NULL && beside->connected &&
                     tcp_bind(tcp->pcb, &beside->pcb->local_ip, beside->pcb->local_port) == ERR_OK)) &&
        tcp_connect(tcp->pcb, &ip, command->remote.port, tcp_stands) == ERR_OK) {
      return;
    }
    close_tcp(tcp);
    break;
  }
  genkan_handle_closed(acceptor, now, command->stream);
}

/* --- What the acceptor wants and tells --- */

static void carry_out(const genkan_command *command, uint64_t now) {
  struct tcp *tcp;
  switch (command->kind) {
    case GENKAN_COMMAND_KIND_CONNECT:
    case GENKAN_COMMAND_KIND_CONNECT_FROM:
      connect_tcp(command, now);
      break;
    case GENKAN_COMMAND_KIND_SHUTDOWN:
      tcp = tcp_of(command->stream);
      if (tcp != NULL) close_tcp(tcp);
      break;
    case GENKAN_COMMAND_KIND_BIND:
      open_sockets(command->socket, command->count, now);
      break;
    case GENKAN_COMMAND_KIND_UNBIND:
      close_sockets(command->socket, command->count);
      break;
    default: /* An acceptor listens nowhere. */
      break;
  }
}

static void open_session(genkan_connection_id id, uint64_t now) {
  struct session *session = &sessions[id.index];
  uint64_t seed = 0;
  memset(session, 0, sizeof *session);
  session->id = id;
  board_entropy(NULL, (uint8_t *)&seed, sizeof seed);
  if (genkan_streams_init(streams_memory[id.index], sizeof streams_memory[id.index], STREAMS, BUFFER, seed, now,
                          &session->streams) != GENKAN_ERROR_OK ||
      genkan_streams_listen(session->streams, THERMOSTAT_PORT) != GENKAN_ERROR_OK) {
    session->streams = NULL;
    genkan_close(acceptor, now, id);
  }
}

static const char *carrier(genkan_transport transport) {
  return transport == GENKAN_TRANSPORT_STREAM ? "TCP" : "UDP";
}

static void tell(const genkan_event *event, uint64_t now) {
  struct session *session;
  uint32_t failures;
  switch (event->kind) {
    case GENKAN_EVENT_KIND_REGISTERED:
      board_say("registered over %s, seen as %u.%u.%u.%u:%u", carrier(event->over), event->address.ip[0],
                event->address.ip[1], event->address.ip[2], event->address.ip[3], event->address.port);
      board_say("stack %u bytes", (unsigned)board_stack());
      break;
    case GENKAN_EVENT_KIND_REGISTRATION_LOST:
      board_say("registration lost");
      break;
    case GENKAN_EVENT_KIND_PERSIST:
      /* This board has no flash. A product writes the number before it says so. */
      if (genkan_failures(acceptor, &failures) == GENKAN_ERROR_OK) genkan_handle_persisted(acceptor, now, failures);
      break;
    case GENKAN_EVENT_KIND_REQUESTED:
      board_say("%s", event->verdict == GENKAN_VERDICT_ACCEPTED         ? "requested: accepted"
                      : event->verdict == GENKAN_VERDICT_WRONG_PASSWORD ? "requested: wrong password"
                                                                        : "requested: declined");
      break;
    case GENKAN_EVENT_KIND_CONNECTED:
      open_session(event->connection, now);
      board_say("connected over %s", carrier(event->path.transport));
      break;
    case GENKAN_EVENT_KIND_PATH_CHANGED:
      board_say("path over %s", carrier(event->path.transport));
      break;
    case GENKAN_EVENT_KIND_CLOSED:
      session = session_of(event->connection);
      if (session != NULL) session->streams = NULL;
      board_say("closed, cause %u", event->cause);
      board_say("stack %u bytes", (unsigned)board_stack());
      break;
    default: /* This board keeps neither certificate nor session. */
      break;
  }
}

/* Whether there was anything. */
static int tell_all(uint64_t now) {
  genkan_event event;
  int did = 0;
  for (; genkan_poll_event(acceptor, &event) == GENKAN_ERROR_OK; did = 1) tell(&event, now);
  return did;
}

/* Sends what a connection's streams have to send, as far as its path has room. */
static void pump(struct session *session, uint64_t now) {
  static uint8_t packet[GENKAN_STREAM_PACKET], sealed[GENKAN_MAX_FRAME];
  uint8_t peer[32];
  genkan_path path;
  size_t length;
  thermostat_serve(&session->visitor, session->streams, now);
  for (;;) {
    struct tcp *tcp = NULL;
    if (genkan_connection(acceptor, session->id, peer, &path) != GENKAN_ERROR_OK) return;
    if (path.transport == GENKAN_TRANSPORT_STREAM) {
      tcp = tcp_of(path.stream);
      if (tcp == NULL || !has_room(tcp)) return;
    }
    if (genkan_streams_poll_packet(session->streams, now, packet, sizeof packet, &length) != GENKAN_ERROR_OK) return;
    if (genkan_send(acceptor, now, session->id, GENKAN_CHANNEL_STREAM, packet, length, sealed, sizeof sealed, &length,
                    &path) != GENKAN_ERROR_OK) {
      continue; /* Lost: the stream repeats it. */
    }
    if (tcp != NULL) {
      write_tcp(tcp, sealed, length, now);
    } else {
      send_datagram(path.socket, &path.remote, 0, sealed, length);
    }
  }
}

int node_start(const genkan_config *config) {
  genkan_error error = genkan_acceptor_init(acceptor_memory, sizeof acceptor_memory, CONNECTIONS, board_micros(),
                                            config, &acceptor);
  if (error != GENKAN_ERROR_OK) board_say("no acceptor: error %d", (int)error);
  return error == GENKAN_ERROR_OK && open_socket(GENKAN_SOCKET_MAIN, 0) != NULL;
}

/* Events first: what is answered to them leaves with the rest. Whether anything was done, so that
 * there may be more. */
static int drain(uint64_t now) {
  static uint8_t buffer[GENKAN_MAX_FRAME];
  genkan_command command;
  genkan_datagram head;
  size_t length;
  int i, did = tell_all(now);
  for (i = 0; i < CONNECTIONS; i++) {
    if (sessions[i].streams != NULL) pump(&sessions[i], now);
  }
  for (; genkan_poll_command(acceptor, &command) == GENKAN_ERROR_OK; did = 1) carry_out(&command, now);
  while (genkan_next_datagram(acceptor, now, &head) == GENKAN_ERROR_OK) {
    if (genkan_write_datagram(acceptor, now, &head, buffer, sizeof buffer) != GENKAN_ERROR_OK) break;
    send_datagram(head.socket, &head.remote, head.hop_limit, buffer, head.length);
    did = 1;
  }
  for (i = 0; i < TCPS; i++) {
    struct tcp *tcp = &tcps[i];
    while (tcp->pcb != NULL && has_room(tcp) &&
           genkan_write_frame(acceptor, now, tcp->id, buffer, sizeof buffer, &length) == GENKAN_ERROR_OK) {
      write_tcp(tcp, buffer, length, now);
      did = 1;
    }
  }
  return did;
}

void node_turn(void) {
  uint64_t now = board_micros();
  int i;
  for (i = 0; i < TCPS; i++) {
    if (tcps[i].pcb != NULL && tcps[i].connected) read_tcp(&tcps[i], now);
  }
  genkan_handle_timeout(acceptor, now);
  while (drain(now)) continue;
  for (i = 0; i < TCPS; i++) {
    if (tcps[i].pcb != NULL && tcps[i].connected) tcp_output(tcps[i].pcb);
  }
}

uint64_t node_deadline(void) {
  uint64_t at, first = UINT64_MAX, now = board_micros();
  int i;
  if (genkan_poll_timeout(acceptor, &at) == GENKAN_ERROR_OK) first = at;
  for (i = 0; i < CONNECTIONS; i++) {
    struct session *session = &sessions[i];
    if (session->streams != NULL && genkan_streams_poll_timeout(session->streams, now, &at) == GENKAN_ERROR_OK &&
        at < first) {
      first = at;
    }
  }
  return first;
}
