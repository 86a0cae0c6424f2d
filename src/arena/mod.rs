//! Static memory.
