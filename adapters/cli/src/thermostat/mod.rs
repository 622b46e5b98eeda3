//! The demo's appliance: a thermostat with a web page, as a real one might serve on its own
//! network.
//!
//! | request | answer |
//! |---|---|
//! | `GET /` (`/style.css`, `/script.js`) | the page; nothing in it comes from elsewhere |
//! | `GET /api` | `{"room":19.5,"target":21,"heating":true,"min":5,"max":30}` |
//! | `POST /api/target` with `{"target":22.5}` | the new state, or why not |
//!
//! The service knows nothing of Genkan: it listens on loopback, and `genkan accept --forward`
//! carries it out. A `POST` must come as `application/json`, which no foreign page can send without
//! asking.

mod model;
mod server;

pub(crate) use server::Thermostat;
