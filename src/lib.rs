//! gatepost: the place where a mail system's passwords live.
