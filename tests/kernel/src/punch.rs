//! Plain UDP hole punching.
