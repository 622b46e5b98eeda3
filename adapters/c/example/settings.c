#include "settings.h"

#include <stdlib.h>
#include <string.h>

#include "board.h"

static int nibble(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* Reads an argument of hexadecimal digits that is exactly `length` bytes. */
static int hex(const char *name, uint8_t *bytes, size_t length) {
  size_t i, digits;
  const char *text = board_argument(name, &digits);
  if (text == NULL || digits != 2 * length) return 0;
  for (i = 0; i < length; i++) {
    int high = nibble(text[2 * i]), low = nibble(text[2 * i + 1]);
    if (high < 0 || low < 0) return 0;
    bytes[i] = (uint8_t)(high << 4 | low);
  }
  return 1;
}

int settings_read(struct settings *settings, genkan_config *config) {
  uint8_t record[48];
  size_t length, name;
  const char *server = board_argument("server=", &length), *colon, *spread;
  if (genkan_config_init(config) != GENKAN_ERROR_OK || server == NULL) return 0;
  colon = memchr(server, ':', length);
  name = colon == NULL ? 0 : (size_t)(colon - server);
  if (name == 0 || name >= sizeof settings->host) return 0;
  memcpy(settings->host, server, name);
  settings->host[name] = 0;
  settings->port = (uint16_t)atoi(colon + 1);
  if (!hex("key=", settings->key, 32) || !hex("authority=", settings->authority, 32)) return 0;
  /* A product keeps the id beside the key instead. */
  if (genkan_id_from_secret(settings->key, settings->id) != GENKAN_ERROR_OK) return 0;
  config->secret = settings->key;
  config->id = settings->id;
  config->authorities = settings->authority;
  config->authority_count = 1;
  if (hex("password=", record, sizeof record)) {
    memcpy(settings->password.salt, record, 16);
    memcpy(settings->password.hash, record + 16, 32);
    config->admission.password = &settings->password;
  }
  config->admission.open = board_argument("open", &length) != NULL;
  if (board_argument("no-punch", &length) != NULL) config->punch_sockets = 0;
  spread = board_argument("spread=", &length);
  if (spread != NULL) config->spread_ms = (uint32_t)atoi(spread);
  return 1;
}
