#include "checks.h"

static void check_config(const genkan_config *config, uint8_t *memory, size_t size) {
  genkan_acceptor *acceptor = NULL;
  genkan_config bad = *config;
  bad.entropy = NULL;
  ANSWERS(genkan_acceptor_init(memory, size, 1, 1, &bad, &acceptor), GENKAN_ERROR_NULL);
  bad = *config;
  bad.secret = NULL;
  ANSWERS(genkan_acceptor_init(memory, size, 1, 1, &bad, &acceptor), GENKAN_ERROR_NULL);
  bad = *config;
  bad.server_stream.family = 5;
  ANSWERS(genkan_acceptor_init(memory, size, 1, 1, &bad, &acceptor), GENKAN_ERROR_BAD_VALUE);
  bad = *config;
  bad.authority_count = 0;
  ANSWERS(genkan_acceptor_init(memory, size, 1, 1, &bad, &acceptor), GENKAN_ERROR_BAD_VALUE);
  bad.authority_count = (size_t)-1;
  ANSWERS(genkan_acceptor_init(memory, size, 1, 1, &bad, &acceptor), GENKAN_ERROR_BAD_VALUE);
  bad = *config;
  bad.flags = 1u << 31;
  ANSWERS(genkan_acceptor_init(memory, size, 1, 1, &bad, &acceptor), GENKAN_ERROR_BAD_VALUE);
  bad = *config;
  bad.admission.paired_count = 1;
  ANSWERS(genkan_acceptor_init(memory, size, 1, 1, &bad, &acceptor), GENKAN_ERROR_NULL);
  ANSWERS(acceptor == NULL, 1);
}

static void check_ids(void) {
  uint8_t id[32] = {1, 2, 3}, read[32];
  char text[GENKAN_ID_TEXT_SIZE];
  ANSWERS(genkan_id_to_text(id, text, sizeof text - 1), GENKAN_ERROR_BUFFER_TOO_SMALL);
  ANSWERS(genkan_id_to_text(id, NULL, 0), GENKAN_ERROR_NULL);
  MUST(genkan_id_to_text(id, text, sizeof text));
  MUST(genkan_id_from_text(text, read));
  ANSWERS(memcmp(id, read, 32), 0);
  text[10] = text[10] == 'q' ? 'p' : 'q';
  ANSWERS(genkan_id_from_text(text, read), GENKAN_ERROR_BAD_VALUE);
  ANSWERS(genkan_id_from_text(NULL, read), GENKAN_ERROR_NULL);
}

static void check_streams(void) {
  enum { STREAMS = 2, BUFFER = 256, SIZE = GENKAN_STREAMS_SIZE(STREAMS, BUFFER) };
  static uint8_t memory[SIZE + 1] __attribute__((aligned(GENKAN_ALIGN)));
  uint8_t packet[GENKAN_STREAM_PACKET];
  genkan_streams *streams = NULL;
  genkan_stream_handle stream;
  genkan_stream_state state;
  size_t length;
  uint16_t port;
  ANSWERS(genkan_streams_init(NULL, SIZE, STREAMS, BUFFER, 1, 1, &streams), GENKAN_ERROR_NULL);
  ANSWERS(genkan_streams_init(memory + 1, SIZE, STREAMS, BUFFER, 1, 1, &streams), GENKAN_ERROR_MISALIGNED);
  ANSWERS(genkan_streams_init(memory, SIZE - 1, STREAMS, BUFFER, 1, 1, &streams), GENKAN_ERROR_MEMORY_TOO_SMALL);
  ANSWERS(genkan_streams_init(memory, SIZE, 65535, (size_t)-1, 1, 1, &streams), GENKAN_ERROR_MEMORY_TOO_SMALL);
  ANSWERS(genkan_streams_init(memory, SIZE, STREAMS, BUFFER - 1, 1, 1, &streams), GENKAN_ERROR_BAD_VALUE);
  ANSWERS(genkan_streams_init(memory, SIZE, 0, BUFFER, 1, 1, &streams), GENKAN_ERROR_BAD_VALUE);
  MUST(genkan_streams_init(memory, SIZE, STREAMS, BUFFER, 1, 1, &streams));
  ANSWERS(genkan_streams_listen(NULL, 80), GENKAN_ERROR_NULL);
  ANSWERS(genkan_streams_listen(streams, 0), GENKAN_ERROR_BAD_VALUE);
  ANSWERS(genkan_streams_accept(streams, &stream, &port), GENKAN_ERROR_NOTHING);
  ANSWERS(genkan_stream_recv(streams, 77, packet, sizeof packet, &length), GENKAN_ERROR_UNKNOWN);
  ANSWERS(genkan_stream_recv(streams, (genkan_stream_handle)1 << 63, packet, 1, &length), GENKAN_ERROR_UNKNOWN);
  MUST(genkan_streams_handle_packet(streams, 2, packet, 0));
  MUST(genkan_streams_connect(streams, 2, 80, &stream));
  ANSWERS(genkan_streams_poll_packet(streams, 2, packet, sizeof packet - 1, &length), GENKAN_ERROR_BUFFER_TOO_SMALL);
  MUST(genkan_streams_poll_packet(streams, 2, packet, sizeof packet, &length));
  MUST(genkan_streams_session_lost(streams));
  MUST(genkan_stream_state_of(streams, stream, &state));
  ANSWERS(state, GENKAN_STREAM_STATE_SESSION_LOST);
  ANSWERS(genkan_stream_send(streams, stream, packet, 1, &length), GENKAN_ERROR_ENDED);
  MUST(genkan_stream_abort(streams, stream));
  ANSWERS(genkan_stream_state_of(streams, stream, &state), GENKAN_ERROR_UNKNOWN);
}

void check_refusals(const genkan_config *config, uint8_t *memory, size_t size, uint16_t connections) {
  genkan_acceptor *acceptor = NULL;
  genkan_command command;
  genkan_connection_id nobody = {7, 7};
  genkan_path path;
  genkan_received received;
  genkan_address remote;
  genkan_datagram head;
  uint8_t bytes[GENKAN_MAX_FRAME] = {0};
  size_t length;
  check_ids();
  check_streams();
  check_config(config, memory, size);
  ANSWERS(genkan_config_init(NULL), GENKAN_ERROR_NULL);
  ANSWERS(genkan_acceptor_init(NULL, size, connections, 1, config, &acceptor), GENKAN_ERROR_NULL);
  ANSWERS(genkan_acceptor_init(memory, size, connections, 1, NULL, &acceptor), GENKAN_ERROR_NULL);
  ANSWERS(genkan_acceptor_init(memory, size, connections, 1, config, NULL), GENKAN_ERROR_NULL);
  ANSWERS(genkan_acceptor_init(memory + 8, size - 8, 1, 1, config, &acceptor), GENKAN_ERROR_MISALIGNED);
  ANSWERS(genkan_acceptor_init(memory, size - 1, connections, 1, config, &acceptor), GENKAN_ERROR_MEMORY_TOO_SMALL);
  ANSWERS(genkan_acceptor_init(memory, size, 0, 1, config, &acceptor), GENKAN_ERROR_BAD_VALUE);
  ANSWERS(genkan_poll_command(NULL, &command), GENKAN_ERROR_NULL);
  MUST(genkan_acceptor_init(memory, size, connections, 1, config, &acceptor));
  ANSWERS(genkan_poll_command(acceptor, NULL), GENKAN_ERROR_NULL);
  ANSWERS(genkan_handle_datagram(acceptor, 2, 0, &config->server_datagram, NULL, 9, &received), GENKAN_ERROR_NULL);
  remote = config->server_datagram;
  remote.family = 0;
  ANSWERS(genkan_handle_datagram(acceptor, 2, 0, &remote, bytes, 9, &received), GENKAN_ERROR_BAD_VALUE);
  ANSWERS(genkan_set_server_address(acceptor, 2, &remote, &config->server_stream), GENKAN_ERROR_BAD_VALUE);
  ANSWERS(genkan_set_server_address(acceptor, 2, &config->server_datagram, NULL), GENKAN_ERROR_NULL);
  remote.family = 4;
  remote.port++;
  MUST(genkan_set_server_address(acceptor, 2, &remote, &remote));
  MUST(genkan_next_datagram(acceptor, 2, &head));
  ANSWERS(head.remote.port, remote.port);
  MUST(genkan_handle_datagram(acceptor, 2, 0, &config->server_datagram, bytes, 9, &received));
  ANSWERS(received.kind, GENKAN_RECEIVED_KIND_DISCARDED);
  ANSWERS(genkan_send(acceptor, 2, nobody, GENKAN_CHANNEL_STREAM, bytes, 1, bytes + 1, sizeof bytes - 1, &length, &path),
          GENKAN_ERROR_UNKNOWN);
  ANSWERS(genkan_send(acceptor, 2, nobody, 2, bytes, 1, bytes + 1, sizeof bytes - 1, &length, &path),
          GENKAN_ERROR_BAD_VALUE);
  ANSWERS(genkan_connection(acceptor, nobody, bytes, &path), GENKAN_ERROR_UNKNOWN);
  ANSWERS(genkan_certificate(acceptor, bytes, sizeof bytes, &length), GENKAN_ERROR_NOTHING);
  ANSWERS(genkan_restore_certificate(acceptor, bytes, 100), GENKAN_ERROR_CERTIFICATE_MALFORMED);
  MUST(genkan_acceptor_destroy(acceptor));
  check_wiped(memory, size);
}

void check_wiped(const uint8_t *memory, size_t size) {
  size_t i;
  for (i = 0; i < size; i++) ANSWERS(memory[i], 0);
}

void check_certificate(genkan_acceptor *acceptor) {
  uint8_t bytes[GENKAN_MAX_CERTIFICATE];
  size_t length;
  uint64_t floor;
  genkan_counters counters;
  ANSWERS(genkan_certificate(acceptor, bytes, 10, &length), GENKAN_ERROR_BUFFER_TOO_SMALL);
  MUST(genkan_certificate(acceptor, bytes, sizeof bytes, &length));
  MUST(genkan_restore_certificate(acceptor, bytes, length));
  bytes[length - 1] ^= 1;
  ANSWERS(genkan_restore_certificate(acceptor, bytes, length), GENKAN_ERROR_CERTIFICATE_UNTRUSTED);
  MUST(genkan_floor(acceptor, &floor));
  ANSWERS(floor > 0, 1);
  MUST(genkan_counters_of(acceptor, &counters));
  ANSWERS(counters.lost_events, 0);
}

void check_datagram(genkan_acceptor *acceptor, uint64_t now, const genkan_datagram *head) {
  genkan_datagram again, other = *head;
  uint8_t buffer[GENKAN_MAX_DATAGRAM];
  MUST(genkan_next_datagram(acceptor, now, &again));
  ANSWERS(again.length, head->length);
  ANSWERS(genkan_write_datagram(acceptor, now, head, buffer, head->length - 1u), GENKAN_ERROR_BUFFER_TOO_SMALL);
  ANSWERS(genkan_write_datagram(acceptor, now, head, NULL, 0), GENKAN_ERROR_NULL);
  other.remote.port ^= 1;
  ANSWERS(genkan_write_datagram(acceptor, now, &other, buffer, sizeof buffer), GENKAN_ERROR_STALE);
  ANSWERS(genkan_drop_datagram(acceptor, now, &other), GENKAN_ERROR_STALE);
}
