/* The interface of libgenkan_c.a: Genkan's acceptor for firmware written in C.
 *
 * Made by cbindgen from adapters/c/src; do not edit. README.md beside it says how to use it.
 *
 * Rules for all calls: times are microseconds of one clock of the caller's that never goes back.
 * Calls on one acceptor, or on one set of streams, never run at the same time: not from an
 * interrupt, and not from a callback of the library. A null pointer, or one that is not aligned,
 * gives an error unless its description says otherwise. What a call writes counts only when it
 * answers GENKAN_ERROR_OK. */

#ifndef GENKAN_H
#define GENKAN_H

#include <stddef.h>
#include <stdint.h>
#if UINTPTR_MAX > 0xFFFFFFFF
#define GENKAN_64_BIT
#endif

#if defined(GENKAN_64_BIT)
// Bytes that an acceptor takes beside its connections.
#define GENKAN_ACCEPTOR_BASE 6144
#endif

#if !defined(GENKAN_64_BIT)
// Bytes that an acceptor takes beside its connections.
#define GENKAN_ACCEPTOR_BASE 2816
#endif

#if defined(GENKAN_64_BIT)
// Bytes that an acceptor takes for each connection.
#define GENKAN_CONNECTION_SIZE 1024
#endif

#if !defined(GENKAN_64_BIT)
// Bytes that an acceptor takes for each connection.
#define GENKAN_CONNECTION_SIZE 896
#endif

// What the address of memory for an acceptor or for streams must be a multiple of.
#define GENKAN_ALIGN 16

// Longest certificate in bytes.
#define GENKAN_MAX_CERTIFICATE 200

// The most authority keys: the current and, during a change, the next.
#define GENKAN_MAX_AUTHORITIES 2

// The most issuers on a pairing list.
#define GENKAN_MAX_PAIRED 8

// For genkan_config.flags: loopback addresses may be dialled too.
#define GENKAN_ALLOW_LOOPBACK 1

// For genkan_config.flags: private and link-local addresses may be dialled too.
#define GENKAN_ALLOW_PRIVATE 2

// For genkan_config.flags: ports below 1,024 may be dialled too.
#define GENKAN_ALLOW_LOW_PORTS 4

// For genkan_config.flags: register over TCP when UDP stays unanswered.
#define GENKAN_STREAM_FALLBACK 8

// For genkan_config.flags: the appliance itself, not the server, computes port ranges from the
// range detection packets.
#define GENKAN_DETECTS 16

// For genkan_config.flags: ask for the server's certificate on each new TCP connection, although
// one is cached.
#define GENKAN_FETCH_CERTIFICATE 32

// For genkan_config.flags: issuers that cannot be dialled are called over TCP from a port of the
// firmware's choice. It asks for the command ConnectFrom.
#define GENKAN_SIMULTANEOUS_OPEN 64

// Longest datagram in bytes, in and out.
#define GENKAN_MAX_DATAGRAM 1232

// Longest frame on a TCP connection in bytes, in and out.
#define GENKAN_MAX_FRAME 1234

// Longest payload of genkan_send in bytes.
#define GENKAN_MAX_PAYLOAD 1201

// The UDP socket that the firmware opens before anything else, on any port.
#define GENKAN_SOCKET_MAIN 0

// Length of an id's text in characters, with the zero at its end.
#define GENKAN_ID_TEXT_SIZE 62

#if defined(GENKAN_64_BIT)
// Bytes that a connection's streams take beside the single streams.
#define GENKAN_STREAMS_BASE 4096
#endif

#if !defined(GENKAN_64_BIT)
// Bytes that a connection's streams take beside the single streams.
#define GENKAN_STREAMS_BASE 1024
#endif

#if defined(GENKAN_64_BIT)
// Bytes that each stream takes beside its buffers.
#define GENKAN_STREAM_BASE 1536
#endif

#if !defined(GENKAN_64_BIT)
// Bytes that each stream takes beside its buffers.
#define GENKAN_STREAM_BASE 448
#endif

// Smallest buffer of a stream in one direction, in bytes.
#define GENKAN_MIN_BUFFER 256

// Longest packet of streams in bytes.
#define GENKAN_STREAM_PACKET 1200

// What a call answers. Nothing that comes from the network is ever an error.
enum genkan_error
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Done.
  GENKAN_ERROR_OK = 0,
  // There is none: no command, no event, no datagram, no deadline, nobody to accept.
  GENKAN_ERROR_NOTHING = 1,
  // A pointer is null that may not be.
  GENKAN_ERROR_NULL = 2,
  // A pointer is not aligned for what it points to.
  GENKAN_ERROR_MISALIGNED = 3,
  // The memory is smaller than the constants of this header say.
  GENKAN_ERROR_MEMORY_TOO_SMALL = 4,
  // The buffer is too short; nothing was written. Where the call tells a length, it tells the
  // one that is needed.
  GENKAN_ERROR_BUFFER_TOO_SMALL = 5,
  // A value out of range, or a text that is no id.
  GENKAN_ERROR_BAD_VALUE = 6,
  // The datagram is not the next one any more: ask again.
  GENKAN_ERROR_STALE = 7,
  // There is no such connection or stream; it may have ended.
  GENKAN_ERROR_UNKNOWN = 8,
  // The connection is not confirmed by the issuer yet.
  GENKAN_ERROR_NOT_READY = 9,
  // More than GENKAN_MAX_PAYLOAD bytes.
  GENKAN_ERROR_TOO_LONG = 10,
  // The peer was not heard on this punched path for 30 s; another one is looked for.
  GENKAN_ERROR_NO_CONSENT = 11,
  // The session's counter is used up: close the connection.
  GENKAN_ERROR_COUNTER_EXHAUSTED = 12,
  // Every slot or listener is taken.
  GENKAN_ERROR_TABLE_FULL = 13,
  // This direction of the stream was finished in order.
  GENKAN_ERROR_FINISHED = 14,
  // The stream is over and there is nothing left to read.
  GENKAN_ERROR_ENDED = 15,
  // Not a certificate of a version that this library knows.
  GENKAN_ERROR_CERTIFICATE_MALFORMED = 16,
  // The certificate is not signed by an authority that is trusted.
  GENKAN_ERROR_CERTIFICATE_UNTRUSTED = 17,
  // The certificate has expired, or is not valid yet.
  GENKAN_ERROR_CERTIFICATE_DATE = 18,
  // The certificate is for another server name.
  GENKAN_ERROR_CERTIFICATE_NAME = 19,
  // The certificate's serial is revoked.
  GENKAN_ERROR_CERTIFICATE_REVOKED = 20,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum genkan_error genkan_error;
#else
typedef int32_t genkan_error;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What carries something.
enum genkan_transport
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint8_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // UDP.
  GENKAN_TRANSPORT_DATAGRAM = 0,
  // A TCP connection.
  GENKAN_TRANSPORT_STREAM = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum genkan_transport genkan_transport;
#else
typedef uint8_t genkan_transport;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What became of a datagram or frame that arrived.
enum genkan_received_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint8_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // The acceptor's own business, or not a whole frame yet.
  GENKAN_RECEIVED_KIND_CONTROL = 0,
  // Application data.
  GENKAN_RECEIVED_KIND_PAYLOAD = 1,
  // Nothing that the acceptor wants; counted by `reason`.
  GENKAN_RECEIVED_KIND_DISCARDED = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum genkan_received_kind genkan_received_kind;
#else
typedef uint8_t genkan_received_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Which of a connection's two kinds of payload a datagram is.
enum genkan_channel
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint8_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // A datagram of the application's own.
  GENKAN_CHANNEL_DATAGRAM = 0,
  // A packet of the inner network that carries byte streams: for genkan_streams_handle_packet.
  GENKAN_CHANNEL_STREAM = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum genkan_channel genkan_channel;
#else
typedef uint8_t genkan_channel;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Why something that arrived was not wanted.
enum genkan_discard
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint8_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Shorter or longer than its kind allows, or a body that does not decode.
  GENKAN_DISCARD_MALFORMED = 0,
  // Another wire version, or a kind that this version does not know.
  GENKAN_DISCARD_UNKNOWN_KIND = 1,
  // A kind that only the other side of the link may send.
  GENKAN_DISCARD_WRONG_DIRECTION = 2,
  // It names no session, connection or request that stands.
  GENKAN_DISCARD_UNKNOWN_SESSION = 3,
  // Its authentication failed.
  GENKAN_DISCARD_UNAUTHENTIC = 4,
  // Seen before, or too old to tell.
  GENKAN_DISCARD_REPLAYED = 5,
  // A rate limit or budget is exhausted.
  GENKAN_DISCARD_RATE_LIMITED = 6,
  // A table is full.
  GENKAN_DISCARD_TABLE_FULL = 7,
  // It came too late, too early or twice.
  GENKAN_DISCARD_UNEXPECTED = 8,
  // The source of randomness failed, so no answer could be made.
  GENKAN_DISCARD_NO_ENTROPY = 9,
  // The certificate is not valid.
  GENKAN_DISCARD_BAD_CERTIFICATE = 10,
  // An address that may not be used this way.
  GENKAN_DISCARD_FORBIDDEN_ADDRESS = 11,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum genkan_discard genkan_discard;
#else
typedef uint8_t genkan_discard;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// A socket operation to carry out. None of them may block.
enum genkan_command_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint8_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Open a TCP connection to `remote` and name it `stream`; tell genkan_handle_connected or
  // genkan_handle_closed.
  GENKAN_COMMAND_KIND_CONNECT = 0,
  // Close `stream` after what is queued on it; forget it.
  GENKAN_COMMAND_KIND_SHUTDOWN = 1,
  // Listen for TCP connections as `socket`; answer with genkan_handle_bound.
  GENKAN_COMMAND_KIND_LISTEN = 2,
  // Close the listener `socket`.
  GENKAN_COMMAND_KIND_UNLISTEN = 3,
  // Open `count` UDP sockets, on consecutive ports where that can be, and name them `socket` and
  // the numbers that follow. Answer with genkan_handle_bound for the first one; with no address
  // when not all of them could be opened (none of them stays open then).
  GENKAN_COMMAND_KIND_BIND = 4,
  // Close `count` UDP sockets from `socket` on. Numbers that are not open are passed over.
  GENKAN_COMMAND_KIND_UNBIND = 5,
  // As Connect, from the local port of the TCP connection `beside`, which stands: the other end
  // does the same at the same time (simultaneous open, RFC 9293, section 3.5). A stack that cannot
  // do this tells genkan_handle_closed.
  GENKAN_COMMAND_KIND_CONNECT_FROM = 6,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum genkan_command_kind genkan_command_kind;
#else
typedef uint8_t genkan_command_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What the application should know.
enum genkan_event_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint8_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // The server has the acceptor on its list. `address`: the acceptor's as the server sees it;
  // `over`: what carries the registration.
  GENKAN_EVENT_KIND_REGISTERED = 0,
  // The server does not answer any more; the acceptor goes on trying.
  GENKAN_EVENT_KIND_REGISTRATION_LOST = 1,
  // A certificate was accepted that is new: cache genkan_certificate and genkan_floor.
  GENKAN_EVENT_KIND_CERTIFICATE = 2,
  // A session stands that genkan_resumption_of can bring back after a reboot.
  GENKAN_EVENT_KIND_RESUMABLE = 3,
  // Write genkan_failures to stable storage, then call genkan_handle_persisted. The password that
  // was tried is acted upon only then.
  GENKAN_EVENT_KIND_PERSIST = 4,
  // Somebody asked for the acceptor. `address`: from where, as the server says; `peer` where
  // `has_peer`; `verdict`: what the acceptor does about it.
  GENKAN_EVENT_KIND_REQUESTED = 5,
  // `connection` with `peer` stands and the issuer has confirmed it; `path` carries it.
  GENKAN_EVENT_KIND_CONNECTED = 6,
  // What the NAT in front of the acceptor is like: `mapping`, `filtering`, `allocation`.
  GENKAN_EVENT_KIND_NAT = 7,
  // `connection` goes by `path` from now on.
  GENKAN_EVENT_KIND_PATH_CHANGED = 8,
  // `connection`, or the attempt at one, has ended by `cause`.
  GENKAN_EVENT_KIND_CLOSED = 9,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum genkan_event_kind genkan_event_kind;
#else
typedef uint8_t genkan_event_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What the acceptor does about a request.
enum genkan_verdict
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint8_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // It contacts the issuer.
  GENKAN_VERDICT_ACCEPTED = 0,
  // It has no room for another connection.
  GENKAN_VERDICT_BUSY = 1,
  // The issuer is not on the pairing list and gave no password.
  GENKAN_VERDICT_NOT_ALLOWED = 2,
  // The password was wrong, or further tries must wait.
  GENKAN_VERDICT_WRONG_PASSWORD = 3,
  // The issuer's address is not one that it may contact.
  GENKAN_VERDICT_FORBIDDEN_ADDRESS = 4,
  // It could not make sense of the offer, or has seen it before.
  GENKAN_VERDICT_BAD_OFFER = 5,
  // It could not reach the issuer's address.
  GENKAN_VERDICT_UNREACHABLE = 6,
  // Another reason.
  GENKAN_VERDICT_DECLINED = 7,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum genkan_verdict genkan_verdict;
#else
typedef uint8_t genkan_verdict;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Why a connection ended.
enum genkan_cause
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint8_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // The application closed it here.
  GENKAN_CAUSE_LOCAL = 0,
  // The peer closed it.
  GENKAN_CAUSE_PEER = 1,
  // Nothing was heard of the peer for 45 s, or for 60 s over a punched path.
  GENKAN_CAUSE_SILENT = 2,
  // The path broke, or could never be made.
  GENKAN_CAUSE_PATH_LOST = 3,
  // The issuer never confirmed the session.
  GENKAN_CAUSE_UNCONFIRMED = 4,
  // The session's counter is used up.
  GENKAN_CAUSE_COUNTER_EXHAUSTED = 5,
  // Another cause.
  GENKAN_CAUSE_OTHER = 6,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum genkan_cause genkan_cause;
#else
typedef uint8_t genkan_cause;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// How a NAT gives out ports.
enum genkan_allocation
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint8_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Not measured, or too little seen.
  GENKAN_ALLOCATION_UNKNOWN = 0,
  // The port that the socket is bound to.
  GENKAN_ALLOCATION_PRESERVING = 1,
  // The port that the socket is bound to, for its first destination only.
  GENKAN_ALLOCATION_PRESERVING_FIRST = 2,
  // A counter.
  GENKAN_ALLOCATION_SEQUENTIAL = 3,
  // Drawn.
  GENKAN_ALLOCATION_RANDOM = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum genkan_allocation genkan_allocation;
#else
typedef uint8_t genkan_allocation;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// How a stream stands.
enum genkan_stream_state
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint8_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // The handshake is under way; nothing can be sent or received yet.
  GENKAN_STREAM_STATE_OPENING = 0,
  // Both directions are open.
  GENKAN_STREAM_STATE_OPEN = 1,
  // This end has finished; the peer may still send.
  GENKAN_STREAM_STATE_LOCAL_FINISHED = 2,
  // The peer has finished; this end may still send, and read what is left.
  GENKAN_STREAM_STATE_PEER_FINISHED = 3,
  // Both have finished; the last acknowledgements are under way.
  GENKAN_STREAM_STATE_BOTH_FINISHED = 4,
  // Over: both ends finished and everything was delivered.
  GENKAN_STREAM_STATE_ENDED = 5,
  // Over: the peer does not listen on the port, or its table is full.
  GENKAN_STREAM_STATE_REFUSED = 6,
  // Over: the peer aborted it.
  GENKAN_STREAM_STATE_RESET = 7,
  // Over: the peer was silent for too long.
  GENKAN_STREAM_STATE_TIMED_OUT = 8,
  // Over: the connection under it is gone.
  GENKAN_STREAM_STATE_SESSION_LOST = 9,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum genkan_stream_state genkan_stream_state;
#else
typedef uint8_t genkan_stream_state;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// An acceptor.
typedef struct genkan_acceptor genkan_acceptor;

// The byte streams of one connection.
typedef struct genkan_streams genkan_streams;

// An IP address and a port.
typedef struct genkan_address {
  // Network byte order; IPv4 uses the first four bytes, the others are 0.
  uint8_t ip[16];
  // The port as a number.
  uint16_t port;
  // 4 or 6; 0: no address.
  uint8_t family;
} genkan_address;

// A salted hash of a password information, as a device stores it.
typedef struct genkan_password {
  // Random, drawn when the password was set.
  uint8_t salt[16];
  // Hash over salt and password information.
  uint8_t hash[32];
} genkan_password;

// Who may connect.
typedef struct genkan_admission {
  // The password's record: issuers that bring the password are admitted. NULL: none is.
  const struct genkan_password *password;
  // `paired_count` ids of 32 bytes, one after the other: issuers that are admitted by their key.
  const uint8_t *paired;
  // How many, up to GENKAN_MAX_PAIRED.
  size_t paired_count;
  // The early key, 16 random bytes that are kept; NULL: none. It is given to the server and to
  // issuers on the pairing list.
  const uint8_t *early_key;
  // The number of failed tries that was persisted last.
  uint32_t failures;
  // Not 0: anybody is admitted. For services that authenticate by themselves.
  uint8_t open;
} genkan_admission;

// Fills `dest` with `length` random bytes from a good source and returns 0; anything else says that
// it could not, and what needed the bytes is tried again later. It must not call this library.
typedef int32_t (*genkan_entropy)(void *context, uint8_t *dest, size_t length);

// What an acceptor is told at start. Begin with genkan_config_init. Nothing that it points to is
// needed after genkan_acceptor_init has returned.
typedef struct genkan_config {
  // The device's static secret key: 32 bytes from a good source of randomness, drawn once.
  const uint8_t *secret;
  // Its public half, the device's id, as genkan_id_from_secret computes it; NULL: computed now.
  const uint8_t *id;
  // How often the device has booted, where it keeps count; else 0.
  uint64_t boots;
  // The server's UDP address.
  struct genkan_address server_datagram;
  // The server's TCP address.
  struct genkan_address server_stream;
  // `authority_count` public keys of 32 bytes, one after the other: whom it believes about the
  // server.
  const uint8_t *authorities;
  // How many, from 1 to GENKAN_MAX_AUTHORITIES.
  size_t authority_count;
  // The name that the server's certificate must carry; NULL: any.
  const char *server_name;
  // Seconds since 1970 that have certainly passed: build time or the persisted floor.
  uint64_t floor;
  // Seconds since 1970 now, by a clock that can be trusted; 0 without one.
  uint64_t wall_clock;
  // The smallest serial of a certificate that is not revoked.
  uint32_t min_serial;
  // The first registration leaves at a random time within so many milliseconds.
  uint32_t spread_ms;
  // The GENKAN_ALLOW_… and further constants of this kind, added up.
  uint32_t flags;
  // Packets to ports that have to be guessed, per attempt at a hole.
  uint16_t punch_guesses;
  // UDP sockets that can be opened at once for holes; 0: no hole punching, TCP only.
  uint8_t punch_sockets;
  // Who may connect.
  struct genkan_admission admission;
  // The source of randomness.
  genkan_entropy entropy;
  // What `entropy` is given first.
  void *entropy_context;
} genkan_config;

// What brings a session with the server back after a reboot. It is a secret.
typedef struct genkan_resumption {
  // The server's handle for the session.
  uint32_t handle;
  // The session's root.
  uint8_t root[32];
} genkan_resumption;

// A connection with an issuer.
typedef struct genkan_connection_id {
  // Place in the acceptor's table.
  uint16_t index;
  // How often that place was used: an id of an earlier use is ignored.
  uint16_t generation;
} genkan_connection_id;

// A TCP connection that the acceptor asked for.
typedef struct genkan_stream_id {
  // Place in the acceptor's table.
  uint16_t index;
  // How often that place was used: an id of an earlier use is ignored.
  uint16_t generation;
} genkan_stream_id;

// What carries a connection with an issuer.
typedef struct genkan_path {
  // The address at its other end.
  struct genkan_address remote;
  // The TCP connection, for GENKAN_TRANSPORT_STREAM.
  struct genkan_stream_id stream;
  // The UDP socket, for GENKAN_TRANSPORT_DATAGRAM.
  uint16_t socket;
  // Which of the two it is.
  genkan_transport transport;
} genkan_path;

// What became of a datagram or frame that arrived.
typedef struct genkan_received {
  // Payload: the peer's bytes, decrypted, within the buffer that was handed in.
  uint8_t *payload;
  // Payload: how many.
  size_t length;
  // Payload: the connection that it came over.
  struct genkan_connection_id connection;
  // What became of it.
  genkan_received_kind kind;
  // Payload: which kind of it.
  genkan_channel channel;
  // Discarded: why.
  genkan_discard reason;
} genkan_received;

// A socket operation to carry out.
typedef struct genkan_command {
  // Connect, ConnectFrom: where to.
  struct genkan_address remote;
  // Connect, ConnectFrom, Shutdown: which TCP connection.
  struct genkan_stream_id stream;
  // ConnectFrom: the one whose local port it takes.
  struct genkan_stream_id beside;
  // Listen, Unlisten, Bind, Unbind: which socket, or the first.
  uint16_t socket;
  // Bind, Unbind: how many.
  uint8_t count;
  // What to do.
  genkan_command_kind kind;
} genkan_command;

// What the application should know.
typedef struct genkan_event {
  // Registered, Requested: an address.
  struct genkan_address address;
  // Connected, PathChanged: what carries the connection.
  struct genkan_path path;
  // Connected, PathChanged, Closed: which.
  struct genkan_connection_id connection;
  // Requested, Connected: who is at the other end.
  uint8_t peer[32];
  // Requested: 1 when `peer` is known.
  uint8_t has_peer;
  // What has happened.
  genkan_event_kind kind;
  // Registered: what carries the registration.
  genkan_transport over;
  // Requested: what the acceptor does about it.
  genkan_verdict verdict;
  // Closed: why.
  genkan_cause cause;
  // Nat: which packets of a socket share an external port: 0 not measured, 1 all, 2 at least
  // those to one address, 3 only those to one address, 4 only those to one address and port.
  uint8_t mapping;
  // Nat: whom it lets in: 0 not measured, 1 anybody, 2 at least any port of an address that was
  // sent to, 3 only these, 4 only addresses and ports that were sent to.
  uint8_t filtering;
  // Nat: how it gives out ports.
  genkan_allocation allocation;
} genkan_event;

// A datagram that waits to be sent.
typedef struct genkan_datagram {
  // Where to.
  struct genkan_address remote;
  // Exact length in bytes.
  uint16_t length;
  // The socket to send from.
  uint16_t socket;
  // TTL or hop limit to set on this datagram, where the socket can; 0: the usual one.
  uint8_t hop_limit;
} genkan_datagram;

// How much was discarded, and what was lost because the firmware did not drain.
typedef struct genkan_counters {
  // Datagrams and frames that were discarded, by genkan_discard.
  uint32_t discarded[12];
  // Events and commands that were lost because the firmware did not poll them.
  uint32_t lost_events;
} genkan_counters;

// Names one stream of one genkan_streams; stale, and refused as GENKAN_ERROR_UNKNOWN, after it was
// released or aborted.
typedef uint64_t genkan_stream_handle;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The library's version as text, for example "0.1.0".
const char *genkan_version(void);

// Makes an acceptor in `memory`, which is the library's until genkan_acceptor_destroy: at least
// GENKAN_ACCEPTOR_SIZE(connections) bytes at a multiple of GENKAN_ALIGN. It begins to register as
// soon as it is driven. `now` is in microseconds of a clock that never goes back; the same clock
// counts in every other call.
//
// # Safety
// `memory` is null or points to `size` bytes that nothing else uses until the acceptor is destroyed;
// `config` is null or points to a configuration whose pointers are as its fields say; `acceptor` is
// null or points to memory for a pointer.
genkan_error genkan_acceptor_init(void *memory,
                                  size_t size,
                                  uint16_t connections,
                                  uint64_t now,
                                  const struct genkan_config *config,
                                  struct genkan_acceptor **acceptor);

// Wipes an acceptor's secrets and gives its memory back. The pointer is of no use any more.
//
// # Safety
// `acceptor` is null or was given by genkan_acceptor_init and not destroyed yet.
genkan_error genkan_acceptor_destroy(struct genkan_acceptor *acceptor);

// The acceptor's id, 32 bytes.
//
// # Safety
// `acceptor` is null or valid; `id` is null or points to 32 bytes.
genkan_error genkan_id(const struct genkan_acceptor *acceptor, uint8_t *id);

// Takes a certificate from the cache, checked as if it had just arrived. When it is refused, the
// acceptor fetches one.
//
// # Safety
// `acceptor` is null or valid; `bytes` is null or points to `length` bytes.
genkan_error genkan_restore_certificate(struct genkan_acceptor *acceptor,
                                        const uint8_t *bytes,
                                        size_t length);

// Writes the certificate that was accepted last, for the cache, and its length, at most
// GENKAN_MAX_CERTIFICATE.
//
// # Safety
// `acceptor` is null or valid; `buffer` is null or points to `capacity` bytes; `length` is null or
// points to memory for a length.
genkan_error genkan_certificate(const struct genkan_acceptor *acceptor,
                                uint8_t *buffer,
                                size_t capacity,
                                size_t *length);

// Seconds since 1970 that have certainly passed, by authority-signed dates alone: keep it with the
// certificate.
//
// # Safety
// `acceptor` is null or valid; `floor` is null or points to memory for a number.
genkan_error genkan_floor(const struct genkan_acceptor *acceptor, uint64_t *floor);

// Takes up a session that was kept over a reboot; without effect once the acceptor has begun by
// itself.
//
// # Safety
// `acceptor` is null or valid; `resumption` is null or points to one.
genkan_error genkan_restore_session(struct genkan_acceptor *acceptor,
                                    const struct genkan_resumption *resumption);

// What to keep so that the session with the server survives a reboot, where only this device can
// read it. GENKAN_ERROR_NOTHING while there is no session.
//
// # Safety
// `acceptor` is null or valid; `resumption` is null or points to memory for one.
genkan_error genkan_resumption_of(const struct genkan_acceptor *acceptor,
                                  struct genkan_resumption *resumption);

// The number of failed password tries to persist.
//
// # Safety
// `acceptor` is null or valid; `failures` is null or points to memory for a number.
genkan_error genkan_failures(const struct genkan_acceptor *acceptor, uint32_t *failures);

// `failures`, as read from genkan_failures, is on stable storage.
//
// # Safety
// `acceptor` is null or valid.
genkan_error genkan_handle_persisted(struct genkan_acceptor *acceptor,
                                     uint64_t now,
                                     uint32_t failures);

// Changes who may connect from now on; connections that stand are not touched. The counted password
// tries stay, and so does the early key.
//
// # Safety
// `acceptor` is null or valid; `admission` is null or points to one whose pointers are as its fields
// say.
genkan_error genkan_set_admission(struct genkan_acceptor *acceptor,
                                  const struct genkan_admission *admission);

// Changes the early key, 16 bytes: the server and the paired issuers that are connected are told.
//
// # Safety
// `acceptor` is null or valid; `key` is null or points to 16 bytes.
genkan_error genkan_set_early_key(struct genkan_acceptor *acceptor,
                                  uint64_t now,
                                  const uint8_t *key);

// The server is elsewhere from now on, over datagrams and over TCP: the acceptor registers there at once.
// Certificate and connections stay.
//
// # Safety
// `acceptor` is null or valid; `datagram` and `stream` are null or point to addresses.
genkan_error genkan_set_server_address(struct genkan_acceptor *acceptor,
                                       uint64_t now,
                                       const struct genkan_address *datagram,
                                       const struct genkan_address *stream);

// Leaves the server's list and stops registering. Connections stay.
//
// # Safety
// `acceptor` is null or valid.
genkan_error genkan_deregister(struct genkan_acceptor *acceptor, uint64_t now);

// Who is at the other end of a connection that stands, 32 bytes, and what carries it.
//
// # Safety
// `acceptor` is null or valid; `peer` is null or points to 32 bytes, `path` to memory for a path.
genkan_error genkan_connection(const struct genkan_acceptor *acceptor,
                               struct genkan_connection_id connection,
                               uint8_t *peer,
                               struct genkan_path *path);

// Fills a configuration with defaults: nobody admitted, public addresses only, a spread of 25 s,
// the TCP fallback on, the hole punching of a microcontroller. Keys, server and entropy are left to
// fill in.
//
// # Safety
// `config` is null or points to memory for a configuration.
genkan_error genkan_config_init(struct genkan_config *config);

// The record of a password information, as the device keeps it: when the owner sets a password, the
// owner's app derives the information from it (Argon2id with the device's id) and sends that.
//
// # Safety
// `salt` is null or points to 16 random bytes, `information` to 32 bytes, `password` to memory for
// a record.
genkan_error genkan_password_from_information(const uint8_t *salt,
                                              const uint8_t *information,
                                              struct genkan_password *password);

// Brought by the firmware where the library is built with the feature `log`: takes a line of
// `length` characters without a zero at the end. `level` is from 1, an error, to 5, a trace. It
// must not call this library.
extern void genkan_log(uint32_t level, const char *line, size_t length);

// A datagram of `length` bytes arrived on `socket` from `remote`. It is decrypted in place; a
// payload is part of it.
//
// # Safety
// `acceptor` is null or valid; `remote` is null or points to an address; `datagram` is null or
// points to `length` bytes; `received` is null or points to memory for the result.
genkan_error genkan_handle_datagram(struct genkan_acceptor *acceptor,
                                    uint64_t now,
                                    uint16_t socket,
                                    const struct genkan_address *remote,
                                    uint8_t *datagram,
                                    size_t length,
                                    struct genkan_received *received);

// `length` bytes stand at the front of the TCP connection `stream`. At most one frame is handled;
// call again with the rest until `consumed` is 0, then wait for more bytes. A buffer of
// GENKAN_MAX_FRAME bytes always suffices. The bytes are decrypted in place; a payload is part of
// them.
//
// # Safety
// `acceptor` is null or valid; `bytes` is null or points to `length` bytes; `consumed` and
// `received` are null or point to memory for the results.
genkan_error genkan_handle_stream(struct genkan_acceptor *acceptor,
                                  uint64_t now,
                                  struct genkan_stream_id stream,
                                  uint8_t *bytes,
                                  size_t length,
                                  size_t *consumed,
                                  struct genkan_received *received);

// The TCP connection `stream` stands: frames may be written.
//
// # Safety
// `acceptor` is null or valid.
genkan_error genkan_handle_connected(struct genkan_acceptor *acceptor,
                                     uint64_t now,
                                     struct genkan_stream_id stream);

// The TCP connection `stream` could not be made, was reset, or ended. It is forgotten.
//
// # Safety
// `acceptor` is null or valid.
genkan_error genkan_handle_closed(struct genkan_acceptor *acceptor,
                                  uint64_t now,
                                  struct genkan_stream_id stream);

// The listener `socket` accepted a TCP connection from `remote`, which gets a name.
// GENKAN_ERROR_NOTHING: the acceptor will not have it, close it at once.
//
// # Safety
// `acceptor` is null or valid; `remote` is null or points to an address; `stream` is null or points
// to memory for a name.
genkan_error genkan_handle_accept(struct genkan_acceptor *acceptor,
                                  uint64_t now,
                                  uint16_t socket,
                                  const struct genkan_address *remote,
                                  struct genkan_stream_id *stream);

// The answer to the commands Listen and Bind: the local address that the listener or first socket is
// bound to; NULL when it could not be opened.
//
// # Safety
// `acceptor` is null or valid; `local` is null or points to an address.
genkan_error genkan_handle_bound(struct genkan_acceptor *acceptor,
                                 uint64_t now,
                                 uint16_t socket,
                                 const struct genkan_address *local);

// Time has passed. Harmless when called early.
//
// # Safety
// `acceptor` is null or valid.
genkan_error genkan_handle_timeout(struct genkan_acceptor *acceptor, uint64_t now);

// The next socket operation to carry out, or GENKAN_ERROR_NOTHING.
//
// # Safety
// `acceptor` is null or valid; `command` is null or points to memory for a command.
genkan_error genkan_poll_command(struct genkan_acceptor *acceptor, struct genkan_command *command);

// What the application should know next, or GENKAN_ERROR_NOTHING.
//
// # Safety
// `acceptor` is null or valid; `event` is null or points to memory for an event.
genkan_error genkan_poll_event(struct genkan_acceptor *acceptor, struct genkan_event *event);

// When to call genkan_handle_timeout at the latest; GENKAN_ERROR_NOTHING: only something that
// happens can change anything.
//
// # Safety
// `acceptor` is null or valid; `at` is null or points to memory for a time.
genkan_error genkan_poll_timeout(const struct genkan_acceptor *acceptor, uint64_t *at);

// The id, which is the public key, of a secret key of 32 bytes. Keep it beside the secret: on a
// Cortex-M3 it takes 1.7 million instructions.
//
// # Safety
// `secret` and `id` are null or point to 32 bytes each.
genkan_error genkan_id_from_secret(const uint8_t *secret, uint8_t *id);

// Writes an id as text of GENKAN_ID_TEXT_SIZE characters with the zero at its end.
//
// # Safety
// `id` is null or points to 32 bytes; `text` is null or points to `capacity` characters.
genkan_error genkan_id_to_text(const uint8_t *id, char *text, size_t capacity);

// Reads an id from its text, which ends with a zero.
//
// # Safety
// `text` is null or points to a text that ends with a zero; `id` is null or points to 32 bytes.
genkan_error genkan_id_from_text(const char *text, uint8_t *id);

// The next datagram to send, or GENKAN_ERROR_NOTHING. It stays queued until genkan_write_datagram or
// genkan_drop_datagram: a caller whose stack has no room asks again later.
//
// # Safety
// `acceptor` is null or valid; `head` is null or points to memory for the result.
genkan_error genkan_next_datagram(struct genkan_acceptor *acceptor,
                                  uint64_t now,
                                  struct genkan_datagram *head);

// Writes the datagram that `head` speaks of to the front of `buffer`, and takes it off the queue: it
// counts as sent. GENKAN_ERROR_STALE: it is not the next one any more, ask again.
//
// # Safety
// `acceptor` is null or valid; `head` is null or points to what genkan_next_datagram has written;
// `buffer` is null or points to `capacity` bytes.
genkan_error genkan_write_datagram(struct genkan_acceptor *acceptor,
                                   uint64_t now,
                                   const struct genkan_datagram *head,
                                   uint8_t *buffer,
                                   size_t capacity);

// The datagram that `head` speaks of cannot be sent: it is treated as lost on the way.
// GENKAN_ERROR_STALE: it is not the next one any more.
//
// # Safety
// `acceptor` is null or valid; `head` is null or points to what genkan_next_datagram has written.
genkan_error genkan_drop_datagram(struct genkan_acceptor *acceptor,
                                  uint64_t now,
                                  const struct genkan_datagram *head);

// Length of the next frame to write to the TCP connection `stream`, or GENKAN_ERROR_NOTHING. It
// stays queued until genkan_write_frame.
//
// # Safety
// `acceptor` is null or valid; `length` is null or points to memory for a length.
genkan_error genkan_next_frame(struct genkan_acceptor *acceptor,
                               uint64_t now,
                               struct genkan_stream_id stream,
                               size_t *length);

// Writes the next frame for the TCP connection `stream` to the front of `buffer`, tells its length,
// and takes it off the queue: all of it must go to the connection, in order.
//
// # Safety
// `acceptor` is null or valid; `buffer` is null or points to `capacity` bytes; `length` is null or
// points to memory for a length.
genkan_error genkan_write_frame(struct genkan_acceptor *acceptor,
                                uint64_t now,
                                struct genkan_stream_id stream,
                                uint8_t *buffer,
                                size_t capacity,
                                size_t *length);

// Brought by the firmware: the library can not go on. `file`, of `length` characters without a
// zero at the end, and `line` say where. It must not return.
extern void genkan_panicked(const char *file, size_t length, uint32_t line);

// Seals `length` bytes of application data for a connection into `buffer` and tells how many bytes
// that are and what path they go: as a datagram from `path.socket` to `path.remote`, or to the TCP
// connection `path.stream`, whole and in order. `channel` is a genkan_channel. A buffer of
// GENKAN_MAX_FRAME bytes always suffices. On TCP, drop payloads when more than 32 KiB wait already:
// the streams inside see the congestion then.
//
// # Safety
// `acceptor` is null or valid; `bytes` is null or points to `length` bytes, `buffer` to `capacity`
// others; `sealed` and `path` are null or point to memory for the results.
genkan_error genkan_send(struct genkan_acceptor *acceptor,
                         uint64_t now,
                         struct genkan_connection_id connection,
                         uint8_t channel,
                         const uint8_t *bytes,
                         size_t length,
                         uint8_t *buffer,
                         size_t capacity,
                         size_t *sealed,
                         struct genkan_path *path);

// Closes a connection; the peer is told.
//
// # Safety
// `acceptor` is null or valid.
genkan_error genkan_close(struct genkan_acceptor *acceptor,
                          uint64_t now,
                          struct genkan_connection_id connection);

// What was counted since the acceptor was made.
//
// # Safety
// `acceptor` is null or valid; `counters` is null or points to memory for them.
genkan_error genkan_counters_of(const struct genkan_acceptor *acceptor,
                                struct genkan_counters *counters);

// The stream that waits longest among those that the peer opened, and the port that it was opened
// to; GENKAN_ERROR_NOTHING when none waits.
//
// # Safety
// `streams` is null or valid; `stream` and `port` are null or point to memory for the results.
genkan_error genkan_streams_accept(struct genkan_streams *streams,
                                   genkan_stream_handle *stream,
                                   uint16_t *port);

// Opens a stream to the peer's `port`. Bytes can be sent once it is open; a refusal shows as its
// state.
//
// # Safety
// `streams` is null or valid; `stream` is null or points to memory for a handle.
genkan_error genkan_streams_connect(struct genkan_streams *streams,
                                    uint64_t now,
                                    uint16_t port,
                                    genkan_stream_handle *stream);

// Queues bytes and tells how many were taken from the front of `bytes`; 0 is back-pressure.
// GENKAN_ERROR_FINISHED after genkan_stream_finish, GENKAN_ERROR_ENDED when the stream is over.
//
// # Safety
// `streams` is null or valid; `bytes` is null or points to `length` bytes; `taken` is null or points
// to memory for a length.
genkan_error genkan_stream_send(struct genkan_streams *streams,
                                genkan_stream_handle stream,
                                const uint8_t *bytes,
                                size_t length,
                                size_t *taken);

// Moves bytes that arrived into `buffer` and tells how many; 0 means none now.
// GENKAN_ERROR_FINISHED when the peer has finished and everything is read, GENKAN_ERROR_ENDED when
// the stream is over otherwise and everything is read.
//
// # Safety
// `streams` is null or valid; `buffer` is null or points to `capacity` bytes; `given` is null or
// points to memory for a length.
genkan_error genkan_stream_recv(struct genkan_streams *streams,
                                genkan_stream_handle stream,
                                uint8_t *buffer,
                                size_t capacity,
                                size_t *given);

// How a stream stands.
//
// # Safety
// `streams` is null or valid; `state` is null or points to memory for one.
genkan_error genkan_stream_state_of(struct genkan_streams *streams,
                                    genkan_stream_handle stream,
                                    genkan_stream_state *state);

// Finishes this end's direction: the peer reads the end of the stream after all bytes queued so far.
//
// # Safety
// `streams` is null or valid.
genkan_error genkan_stream_finish(struct genkan_streams *streams,
                                  genkan_stream_handle stream);

// Gives a stream back in order: queued bytes and the end of the stream are still delivered.
//
// # Safety
// `streams` is null or valid.
genkan_error genkan_stream_release(struct genkan_streams *streams,
                                   uint64_t now,
                                   genkan_stream_handle stream);

// Gives a stream back and resets it: what is queued is lost.
//
// # Safety
// `streams` is null or valid.
genkan_error genkan_stream_abort(struct genkan_streams *streams, genkan_stream_handle stream);

// Makes the streams of a connection that has just been told as connected, in `memory`: at least
// GENKAN_STREAMS_SIZE(streams, buffer) bytes at a multiple of GENKAN_ALIGN, for so many streams at
// once with buffers of `buffer` bytes, at least GENKAN_MIN_BUFFER, in each direction. `seed` is any
// number that differs from one connection to the next. The memory may be used again, for the next
// connection too, by calling this again.
//
// # Safety
// `memory` is null or points to `size` bytes that nothing else uses as long as the streams are used;
// `made` is null or points to memory for a pointer.
genkan_error genkan_streams_init(void *memory,
                                 size_t size,
                                 uint16_t streams,
                                 size_t buffer,
                                 uint64_t seed,
                                 uint64_t now,
                                 struct genkan_streams **made);

// A payload of the channel Stream arrived. Whatever it contains, this does not fail.
//
// # Safety
// `streams` is null or valid; `packet` is null or points to `length` bytes.
genkan_error genkan_streams_handle_packet(struct genkan_streams *streams,
                                          uint64_t now,
                                          const uint8_t *packet,
                                          size_t length);

// Writes the next packet into `buffer`, of at least GENKAN_STREAM_PACKET bytes, and tells its length;
// GENKAN_ERROR_NOTHING when there is none now. It counts as sent: when the connection has no room, do
// not call.
//
// # Safety
// `streams` is null or valid; `buffer` is null or points to `capacity` bytes; `length` is null or
// points to memory for a length.
genkan_error genkan_streams_poll_packet(struct genkan_streams *streams,
                                        uint64_t now,
                                        uint8_t *buffer,
                                        size_t capacity,
                                        size_t *length);

// When to call genkan_streams_poll_packet again at the latest; GENKAN_ERROR_NOTHING: only a packet or
// a call can change anything.
//
// # Safety
// `streams` is null or valid; `at` is null or points to memory for a time.
genkan_error genkan_streams_poll_timeout(struct genkan_streams *streams,
                                         uint64_t now,
                                         uint64_t *at);

// The connection has ended: every stream ends at once. What had arrived can still be read.
//
// # Safety
// `streams` is null or valid.
genkan_error genkan_streams_session_lost(struct genkan_streams *streams);

// Lets the peer open streams to `port`; at most 8 ports.
//
// # Safety
// `streams` is null or valid.
genkan_error genkan_streams_listen(struct genkan_streams *streams, uint16_t port);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* GENKAN_H */

/* Bytes of memory for an acceptor with so many connections at once. */
#define GENKAN_ACCEPTOR_SIZE(connections) \
  (GENKAN_ACCEPTOR_BASE + (connections) * GENKAN_CONNECTION_SIZE)
/* Bytes of memory for so many streams at once, with buffers of so many bytes in each direction. */
#define GENKAN_STREAMS_SIZE(streams, buffer) \
  (GENKAN_STREAMS_BASE + (streams) * (GENKAN_STREAM_BASE + 2 * (buffer)))

#ifdef __cplusplus
extern "C" {
#endif

/* Brought by the firmware: the library cannot go on. `file`, of `length` characters without a zero at
 * its end, and `line` say where. It must not return. Not called on hosts. */
void genkan_panicked(const char *file, size_t length, uint32_t line);

/* Brought by the firmware where the library is built with the feature `log`: takes a line of `length`
 * characters without a zero at its end. `level` is from 1, an error, to 5, a trace. */
void genkan_log(uint32_t level, const char *line, size_t length);

#ifdef __cplusplus
}
#endif
