/* An appliance on POSIX sockets, all in C: tests/host.rs has issuers call it.
 *
 *   appliance SERVER_PORT AUTHORITY SECRET INFORMATION
 *
 * Keys are hexadecimal; INFORMATION is the password's. Everything is on loopback. It tells on stdout
 * what happens, a line each, and ends when its stdin does. */
#define _POSIX_C_SOURCE 200809L

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "checks.h"
#include "thermostat.h"

enum { CONNECTIONS = 2, STREAMS = 4, BUFFER = 2048, SOCKETS = 40, TCPS = 4, OUT = 8 * GENKAN_MAX_FRAME };

struct socket {
  int fd;
  uint16_t name;
};

struct tcp {
  int fd; /* -1: free */
  int connected;
  genkan_stream_id id;
  size_t in_length, out_length;
  uint8_t in[GENKAN_MAX_FRAME], out[OUT];
};

struct session {
  int open;
  genkan_connection_id id;
  genkan_streams *streams;
  struct thermostat_visitor visitor;
};

static uint8_t acceptor_memory[GENKAN_ACCEPTOR_SIZE(CONNECTIONS)] __attribute__((aligned(GENKAN_ALIGN)));
static uint8_t streams_memory[CONNECTIONS][GENKAN_STREAMS_SIZE(STREAMS, BUFFER)]
    __attribute__((aligned(GENKAN_ALIGN)));
static struct socket sockets[SOCKETS];
static struct tcp tcps[TCPS];
static struct session sessions[CONNECTIONS];
static genkan_acceptor *acceptor;

static uint64_t micros(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int32_t entropy(void *context, uint8_t *dest, size_t length) {
  (void)context;
  return getentropy(dest, length) == 0 ? 0 : -1;
}

/* Only called where the library is built with the feature `log`. */
void genkan_log(uint32_t level, const char *line, size_t length) {
  fprintf(stderr, "%u %.*s\n", (unsigned)level, (int)length, line);
}

static void unhex(const char *text, uint8_t bytes[32]) {
  int i;
  unsigned byte;
  for (i = 0; i < 32; i++) {
    if (sscanf(text + 2 * i, "%2x", &byte) != 1) exit(2);
    bytes[i] = (uint8_t)byte;
  }
}

static struct sockaddr_in to_posix(const genkan_address *address) {
  struct sockaddr_in posix;
  memset(&posix, 0, sizeof posix);
  posix.sin_family = AF_INET;
  posix.sin_port = htons(address->port);
  memcpy(&posix.sin_addr, address->ip, 4);
  return posix;
}

static genkan_address from_posix(const struct sockaddr_in *posix) {
  genkan_address address;
  memset(&address, 0, sizeof address);
  address.family = 4;
  address.port = ntohs(posix->sin_port);
  memcpy(address.ip, &posix->sin_addr, 4);
  return address;
}

static struct tcp *tcp_of(genkan_stream_id id) {
  int i;
  for (i = 0; i < TCPS; i++) {
    if (tcps[i].fd >= 0 && tcps[i].id.index == id.index && tcps[i].id.generation == id.generation) {
      return &tcps[i];
    }
  }
  return NULL;
}

static struct socket *socket_of(uint16_t name) {
  int i;
  for (i = 0; i < SOCKETS; i++) {
    if (sockets[i].fd >= 0 && sockets[i].name == name) return &sockets[i];
  }
  return NULL;
}

static int open_udp(uint16_t name, genkan_address *local) {
  int i, fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in at;
  socklen_t size = sizeof at;
  memset(&at, 0, sizeof at);
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0) return 0;
  fcntl(fd, F_SETFL, O_NONBLOCK);
  for (i = 0; i < SOCKETS; i++) {
    if (sockets[i].fd < 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0) {
      sockets[i].fd = fd;
      sockets[i].name = name;
      getsockname(fd, (struct sockaddr *)&at, &size);
      if (local != NULL) *local = from_posix(&at);
      return 1;
    }
  }
  close(fd);
  return 0;
}

static void close_udp(uint16_t first, unsigned count) {
  unsigned i;
  for (i = 0; i < count; i++) {
    struct socket *open = socket_of((uint16_t)(first + i));
    if (open != NULL) {
      close(open->fd);
      open->fd = -1;
    }
  }
}

static void close_tcp(struct tcp *tcp) {
  close(tcp->fd);
  tcp->fd = -1;
}

/* Whether it has the local port of the connection `beside` now, where one is named. */
static int share_port(int fd, const genkan_command *command) {
  struct tcp *beside = tcp_of(command->beside);
  struct sockaddr_in at;
  socklen_t size = sizeof at;
  int yes = 1;
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0) return 0;
  if (command->kind != GENKAN_COMMAND_KIND_CONNECT_FROM) return 1;
  return beside != NULL && beside->connected && getsockname(beside->fd, (struct sockaddr *)&at, &size) == 0 &&
         bind(fd, (struct sockaddr *)&at, size) == 0;
}

static void connect_tcp(const genkan_command *command, uint64_t now) {
  int i, fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in remote = to_posix(&command->remote);
  for (i = 0; i < TCPS; i++) {
    if (tcps[i].fd < 0 && fd >= 0) {
      fcntl(fd, F_SETFL, O_NONBLOCK);
      if (!share_port(fd, command)) break;
      if (connect(fd, (struct sockaddr *)&remote, sizeof remote) != 0 && errno != EINPROGRESS) break;
      tcps[i].fd = fd;
      tcps[i].id = command->stream;
      tcps[i].connected = 0;
      tcps[i].in_length = tcps[i].out_length = 0;
      return;
    }
  }
  if (fd >= 0) close(fd);
  genkan_handle_closed(acceptor, now, command->stream);
}

static void flush_tcp(struct tcp *tcp) {
  ssize_t sent = tcp->out_length == 0 ? 0 : send(tcp->fd, tcp->out, tcp->out_length, MSG_NOSIGNAL);
  if (sent > 0) {
    tcp->out_length -= (size_t)sent;
    memmove(tcp->out, tcp->out + sent, tcp->out_length);
  }
}

static void carry_out(const genkan_command *command, uint64_t now) {
  struct tcp *tcp;
  unsigned i;
  genkan_address local;
  switch (command->kind) {
    case GENKAN_COMMAND_KIND_CONNECT:
    case GENKAN_COMMAND_KIND_CONNECT_FROM:
      connect_tcp(command, now);
      break;
    case GENKAN_COMMAND_KIND_SHUTDOWN:
      tcp = tcp_of(command->stream);
      if (tcp != NULL) {
        flush_tcp(tcp);
        close_tcp(tcp);
      }
      break;
    case GENKAN_COMMAND_KIND_BIND:
      for (i = 0; i < command->count; i++) {
        genkan_address *first = i == 0 ? &local : NULL;
        if (!open_udp((uint16_t)(command->socket + i), first)) break;
      }
      if (i < command->count) close_udp(command->socket, i);
      genkan_handle_bound(acceptor, now, command->socket, i < command->count ? NULL : &local);
      break;
    case GENKAN_COMMAND_KIND_UNBIND:
      close_udp(command->socket, command->count);
      break;
    default: /* An acceptor listens nowhere. */
      break;
  }
}

static struct session *session_of(genkan_connection_id id) {
  int i;
  for (i = 0; i < CONNECTIONS; i++) {
    if (sessions[i].open && sessions[i].id.index == id.index && sessions[i].id.generation == id.generation) {
      return &sessions[i];
    }
  }
  return NULL;
}

static void open_session(genkan_connection_id id, uint64_t now) {
  struct session *session = &sessions[id.index];
  memset(session, 0, sizeof *session);
  MUST(genkan_streams_init(streams_memory[id.index], sizeof streams_memory[id.index], STREAMS, BUFFER, now, now,
                           &session->streams));
  MUST(genkan_streams_listen(session->streams, THERMOSTAT_PORT));
  session->id = id;
  session->open = 1;
}

static void tell(const genkan_event *event, uint64_t now) {
  uint32_t failures;
  struct session *session;
  switch (event->kind) {
    case GENKAN_EVENT_KIND_REGISTERED:
      printf("registered %u\n", (unsigned)event->over);
      break;
    case GENKAN_EVENT_KIND_CERTIFICATE:
      check_certificate(acceptor);
      printf("certificate\n");
      break;
    case GENKAN_EVENT_KIND_PERSIST:
      MUST(genkan_failures(acceptor, &failures));
      MUST(genkan_handle_persisted(acceptor, now, failures));
      printf("persisted %u\n", (unsigned)failures);
      break;
    case GENKAN_EVENT_KIND_REQUESTED:
      printf("requested %u\n", (unsigned)event->verdict);
      break;
    case GENKAN_EVENT_KIND_CONNECTED:
      open_session(event->connection, now);
      printf("connected %u\n", (unsigned)event->path.transport);
      break;
    case GENKAN_EVENT_KIND_PATH_CHANGED:
      printf("path %u\n", (unsigned)event->path.transport);
      break;
    case GENKAN_EVENT_KIND_CLOSED:
      session = session_of(event->connection);
      if (session != NULL) {
        MUST(genkan_streams_session_lost(session->streams));
        session->open = 0;
      }
      printf("closed %u\n", (unsigned)event->cause);
      break;
    default:
      break;
  }
  fflush(stdout);
}

/* Whether there was anything. */
static int tell_all(uint64_t now) {
  genkan_event event;
  int did = 0;
  for (; genkan_poll_event(acceptor, &event) == GENKAN_ERROR_OK; did = 1) tell(&event, now);
  return did;
}

static void send_datagram(uint16_t name, const genkan_address *remote, int hops, const uint8_t *bytes, size_t length) {
  struct sockaddr_in to = to_posix(remote);
  struct socket *from = socket_of(name);
  int usual = 64;
  if (from == NULL) return;
  if (hops > 0) setsockopt(from->fd, IPPROTO_IP, IP_TTL, &hops, sizeof hops);
  /* A send error is a lost datagram. */
  (void)!sendto(from->fd, bytes, length, 0, (struct sockaddr *)&to, sizeof to);
  if (hops > 0) setsockopt(from->fd, IPPROTO_IP, IP_TTL, &usual, sizeof usual);
}

/* Sends what a session's streams have to send, as far as its path has room. */
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
      if (tcp == NULL || sizeof tcp->out - tcp->out_length < GENKAN_MAX_FRAME) return;
    }
    if (genkan_streams_poll_packet(session->streams, now, packet, sizeof packet, &length) != GENKAN_ERROR_OK) return;
    if (genkan_send(acceptor, now, session->id, GENKAN_CHANNEL_STREAM, packet, length, sealed, sizeof sealed, &length,
                    &path) != GENKAN_ERROR_OK) {
      continue; /* Lost; the stream repeats it. */
    }
    if (tcp != NULL) {
      memcpy(tcp->out + tcp->out_length, sealed, length);
      tcp->out_length += length;
    } else {
      send_datagram(path.socket, &path.remote, 0, sealed, length);
    }
  }
}

/* Whether anything was done, so that there may be more. */
static int drain_once(uint64_t now) {
  static uint8_t buffer[GENKAN_MAX_DATAGRAM];
  genkan_command command;
  genkan_datagram head;
  size_t length;
  int i, did = tell_all(now);
  for (i = 0; i < CONNECTIONS; i++) {
    if (sessions[i].open) pump(&sessions[i], now);
  }
  for (; genkan_poll_command(acceptor, &command) == GENKAN_ERROR_OK; did = 1) carry_out(&command, now);
  while (genkan_next_datagram(acceptor, now, &head) == GENKAN_ERROR_OK) {
    check_datagram(acceptor, now, &head);
    MUST(genkan_write_datagram(acceptor, now, &head, buffer, sizeof buffer));
    send_datagram(head.socket, &head.remote, head.hop_limit, buffer, head.length);
    did = 1;
  }
  for (i = 0; i < TCPS; i++) {
    struct tcp *tcp = &tcps[i];
    if (tcp->fd < 0 || !tcp->connected) continue;
    while (sizeof tcp->out - tcp->out_length >= GENKAN_MAX_FRAME &&
           genkan_next_frame(acceptor, now, tcp->id, &length) == GENKAN_ERROR_OK) {
      MUST(genkan_write_frame(acceptor, now, tcp->id, tcp->out + tcp->out_length, sizeof tcp->out - tcp->out_length,
                              &length));
      tcp->out_length += length;
      did = 1;
    }
  }
  for (i = 0; i < TCPS; i++) {
    if (tcps[i].fd >= 0 && tcps[i].connected) flush_tcp(&tcps[i]);
  }
  return did;
}

static void drain(uint64_t now) {
  while (drain_once(now)) continue;
}

/* The earlier of what acceptor and streams wait for, as milliseconds from now; -1: nothing. */
static int patience(uint64_t now) {
  uint64_t at, first = UINT64_MAX;
  int i;
  if (genkan_poll_timeout(acceptor, &at) == GENKAN_ERROR_OK) first = at;
  for (i = 0; i < CONNECTIONS; i++) {
    if (sessions[i].open && genkan_streams_poll_timeout(sessions[i].streams, now, &at) == GENKAN_ERROR_OK && at < first) {
      first = at;
    }
  }
  if (first == UINT64_MAX) return -1;
  return first <= now ? 0 : (int)((first - now) / 1000 + 1);
}

static void deliver(const genkan_received *received, uint64_t now) {
  struct session *session;
  if (received->kind != GENKAN_RECEIVED_KIND_PAYLOAD || received->channel != GENKAN_CHANNEL_STREAM) return;
  /* The event that tells of its connection may still wait. */
  tell_all(now);
  session = session_of(received->connection);
  if (session != NULL) genkan_streams_handle_packet(session->streams, now, received->payload, received->length);
}

static void read_udp(const struct socket *from, uint64_t now) {
  static uint8_t datagram[GENKAN_MAX_DATAGRAM + 1];
  struct sockaddr_in sender;
  socklen_t size = sizeof sender;
  genkan_received received;
  ssize_t length = recvfrom(from->fd, datagram, sizeof datagram, 0, (struct sockaddr *)&sender, &size);
  if (length >= 0) {
    genkan_address remote = from_posix(&sender);
    MUST(genkan_handle_datagram(acceptor, now, from->name, &remote, datagram, (size_t)length, &received));
    deliver(&received, now);
  }
}

static void read_tcp(struct tcp *tcp, uint64_t now) {
  genkan_received received;
  size_t consumed;
  ssize_t length = recv(tcp->fd, tcp->in + tcp->in_length, sizeof tcp->in - tcp->in_length, 0);
  if (length == 0 || (length < 0 && errno != EAGAIN)) {
    genkan_stream_id id = tcp->id;
    close_tcp(tcp);
    MUST(genkan_handle_closed(acceptor, now, id));
    return;
  }
  tcp->in_length += length > 0 ? (size_t)length : 0;
  for (;;) {
    MUST(genkan_handle_stream(acceptor, now, tcp->id, tcp->in, tcp->in_length, &consumed, &received));
    if (consumed == 0) return;
    deliver(&received, now);
    tcp->in_length -= consumed;
    memmove(tcp->in, tcp->in + consumed, tcp->in_length);
  }
}

static void connected(struct tcp *tcp, uint64_t now) {
  int error = 0;
  socklen_t size = sizeof error;
  genkan_stream_id id = tcp->id;
  getsockopt(tcp->fd, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error == 0) {
    tcp->connected = 1;
    MUST(genkan_handle_connected(acceptor, now, id));
  } else {
    close_tcp(tcp);
    MUST(genkan_handle_closed(acceptor, now, id));
  }
}

/* Waits for something to happen and hands it in; 0 when stdin has ended. */
static int turn(void) {
  struct pollfd wait[1 + SOCKETS + TCPS];
  int i, have;
  uint64_t now = micros();
  MUST(genkan_handle_timeout(acceptor, now));
  drain(now);
  wait[0].fd = STDIN_FILENO;
  wait[0].events = POLLIN;
  for (i = 0; i < SOCKETS; i++) {
    wait[1 + i].fd = sockets[i].fd;
    wait[1 + i].events = POLLIN;
  }
  for (i = 0; i < TCPS; i++) {
    int writes = !tcps[i].connected || tcps[i].out_length > 0;
    wait[1 + SOCKETS + i].fd = tcps[i].fd;
    wait[1 + SOCKETS + i].events = (short)(POLLIN | (writes ? POLLOUT : 0));
  }
  have = poll(wait, sizeof wait / sizeof *wait, patience(now));
  now = micros();
  if (have <= 0) return 1;
  if (wait[0].revents != 0) return 0;
  for (i = 0; i < SOCKETS; i++) {
    if (sockets[i].fd >= 0 && wait[1 + i].revents != 0) read_udp(&sockets[i], now);
  }
  for (i = 0; i < TCPS; i++) {
    short happened = wait[1 + SOCKETS + i].revents;
    if (tcps[i].fd < 0 || happened == 0) continue;
    if (!tcps[i].connected) {
      connected(&tcps[i], now);
    } else if (happened & (POLLIN | POLLHUP | POLLERR)) {
      read_tcp(&tcps[i], now);
    }
  }
  return 1;
}

int main(int count, char **arguments) {
  genkan_config config;
  genkan_password password;
  uint8_t secret[32], authority[32], information[32], id[32];
  const uint8_t salt[16] = {7};
  char text[GENKAN_ID_TEXT_SIZE];
  int i;
  if (count != 5) return 2;
  unhex(arguments[2], authority);
  unhex(arguments[3], secret);
  unhex(arguments[4], information);
  for (i = 0; i < SOCKETS; i++) sockets[i].fd = -1;
  for (i = 0; i < TCPS; i++) tcps[i].fd = -1;
  MUST(genkan_config_init(&config));
  MUST(genkan_id_from_secret(secret, id));
  MUST(genkan_password_from_information(salt, information, &password));
  config.secret = secret;
  config.id = id;
  config.authorities = authority;
  config.authority_count = 1;
  config.server_datagram.family = 4;
  config.server_datagram.port = (uint16_t)atoi(arguments[1]);
  config.server_datagram.ip[0] = 127;
  config.server_datagram.ip[3] = 1;
  config.server_stream = config.server_datagram;
  config.floor = config.wall_clock = (uint64_t)time(NULL);
  config.spread_ms = 0;
  config.flags |= GENKAN_ALLOW_LOOPBACK | GENKAN_ALLOW_PRIVATE;
  config.admission.password = &password;
  config.entropy = entropy;
  check_refusals(&config, acceptor_memory, sizeof acceptor_memory, CONNECTIONS);
  MUST(genkan_acceptor_init(acceptor_memory, sizeof acceptor_memory, CONNECTIONS, micros(), &config, &acceptor));
  if (!open_udp(GENKAN_SOCKET_MAIN, NULL)) return 3;
  MUST(genkan_id_to_text(id, text, sizeof text));
  printf("version %s\nid %s\n", genkan_version(), text);
  fflush(stdout);
  while (turn()) {
  }
  MUST(genkan_deregister(acceptor, micros()));
  drain(micros());
  MUST(genkan_acceptor_destroy(acceptor));
  check_wiped(acceptor_memory, sizeof acceptor_memory);
  for (i = 0; i < SOCKETS; i++) close_udp(sockets[i].name, 1);
  for (i = 0; i < TCPS; i++) {
    if (tcps[i].fd >= 0) close_tcp(&tcps[i]);
  }
  puts("end");
  return 0;
}
