#include "thermostat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Tenths of degrees Celsius. */
enum { LOWEST = 50, HIGHEST = 300 };

/* A stream gives its place back when no whole request has come within so many microseconds, or when
 * nothing of the answer is taken for as long: browsers open streams that they may never use. */
static const uint64_t patience = 15000000;

/* One appliance has one room. It moves a tenth towards its target in six seconds. */
static struct {
  int target, room;
  uint64_t since;
} model = {200, 192, 0};

static const char page[] =
    "<!doctype html><html lang=en><meta charset=utf-8><title>Thermostat</title>"
    "<h1>Thermostat</h1><p id=s></p>"
    "<form><input id=t type=number min=5 max=30 step=.5 value=20><button>Set</button></form>"
    "<script>const show=async r=>{const v=await(await r).json();"
    "s.textContent='Room '+v.room+' \\u00b0C, target '+v.target+' \\u00b0C'};"
    "show(fetch('/api'));document.forms[0].onsubmit=e=>{e.preventDefault();"
    "show(fetch('/api/target',{method:'POST',headers:{'Content-Type':'application/json'},"
    "body:JSON.stringify({target:+t.value})}))}</script></html>";

static void pass_time(uint64_t now) {
  const uint64_t step = 6000000;
  while (model.room != model.target && now - model.since >= step) {
    model.room += model.room < model.target ? 1 : -1;
    model.since += step;
  }
  if (model.room == model.target) model.since = now;
}

static void answer(struct thermostat_request *request, int status, const char *type, const char *body) {
  const char *reason = status == 200 ? "OK" : status == 400 ? "Bad Request" : "Not Found";
  int length = snprintf(request->text, sizeof request->text,
                        "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %u\r\n"
                        "Cache-Control: no-store\r\nConnection: close\r\n\r\n%s",
                        status, reason, type, (unsigned)strlen(body), body);
  request->length = length > 0 && (size_t)length < sizeof request->text ? (size_t)length : 0;
  request->answered = 1;
}

static void answer_state(struct thermostat_request *request) {
  char body[96];
  snprintf(body, sizeof body, "{\"room\":%d.%d,\"target\":%d.%d,\"heating\":%s,\"min\":5,\"max\":30}",
           model.room / 10, model.room % 10, model.target / 10, model.target % 10,
           model.room < model.target - 1 ? "true" : "false");
  answer(request, 200, "application/json", body);
}

/* The tenths in {"target":NUMBER}; -1 for anything else. */
static int target_of(const char *body) {
  const char *at = strstr(body, "\"target\":");
  char *end;
  long whole, tenths = 0;
  if (body[0] != '{' || at == NULL) return -1;
  whole = strtol(at + 9, &end, 10);
  if (end == at + 9 || whole < 0 || whole > 1000) return -1;
  if (*end == '.' && end[1] >= '0' && end[1] <= '9') {
    tenths = end[1] - '0';
    for (end += 2; *end >= '0' && *end <= '9';) end++;
  }
  return *end == '}' ? (int)(whole * 10 + tenths) : -1;
}

/* Length of the body that a request announces; 0 without one. */
static size_t announced(const char *head) {
  const char *at = strstr(head, "\r\nContent-Length:");
  if (at == NULL) at = strstr(head, "\r\ncontent-length:");
  return at == NULL ? 0 : (size_t)strtoul(at + 17, NULL, 10);
}

/* Answers a request that is complete. `text` ends with a zero. */
static void consider(struct thermostat_request *request) {
  char *text = request->text, *body = strstr(text, "\r\n\r\n");
  int target;
  if (body == NULL) return;
  body += 4;
  if (strlen(body) < announced(text) && request->length < sizeof request->text - 1) return;
  if (strncmp(text, "GET / ", 6) == 0) {
    answer(request, 200, "text/html", page);
  } else if (strncmp(text, "GET /api ", 9) == 0) {
    answer_state(request);
  } else if (strncmp(text, "POST /api/target ", 17) == 0) {
    target = target_of(body);
    if (target < LOWEST || target > HIGHEST) {
      answer(request, 400, "application/json", "{\"error\":\"no target from 5 to 30\"}");
    } else {
      model.target = target;
      answer_state(request);
    }
  } else {
    answer(request, 404, "application/json", "{\"error\":\"no such page\"}");
  }
}

static void read_request(struct thermostat_request *request, genkan_streams *streams) {
  size_t room = sizeof request->text - 1 - request->length, given = 0;
  genkan_error error =
      genkan_stream_recv(streams, request->stream, (uint8_t *)request->text + request->length, room, &given);
  if (error != GENKAN_ERROR_OK) {
    genkan_stream_abort(streams, request->stream);
    request->taken = 0;
    return;
  }
  request->length += given;
  request->text[request->length] = 0;
  consider(request);
  if (!request->answered && request->length == sizeof request->text - 1) {
    answer(request, 400, "application/json", "{\"error\":\"too long\"}");
  }
}

static void write_answer(struct thermostat_request *request, genkan_streams *streams, uint64_t now) {
  size_t taken = 0;
  genkan_error error = genkan_stream_send(streams, request->stream, (const uint8_t *)request->text + request->sent,
                                          request->length - request->sent, &taken);
  request->sent += taken;
  if (taken > 0) request->since = now;
  if (error != GENKAN_ERROR_OK || request->sent == request->length) {
    /* What is queued is still delivered; a stream that is over already is simply given back. */
    genkan_stream_release(streams, now, request->stream);
    request->taken = 0;
  }
}

void thermostat_serve(struct thermostat_visitor *visitor, genkan_streams *streams, uint64_t now) {
  size_t i;
  uint16_t port;
  pass_time(now);
  for (i = 0; i < THERMOSTAT_REQUESTS; i++) {
    struct thermostat_request *request = &visitor->requests[i];
    genkan_stream_handle stream;
    if (!request->taken && genkan_streams_accept(streams, &stream, &port) == GENKAN_ERROR_OK) {
      memset(request, 0, sizeof *request);
      request->stream = stream;
      request->taken = 1;
      request->since = now;
    }
    if (request->taken && !request->answered) read_request(request, streams);
    if (request->taken && request->answered) write_answer(request, streams, now);
    if (request->taken && now - request->since >= patience) {
      genkan_stream_abort(streams, request->stream);
      request->taken = 0;
    }
  }
}
