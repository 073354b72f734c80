//! Throwaway servers for tests: PostgreSQL, MariaDB, Redis and nginx in temporary folders on free ports, small clusters
//! of them, and a proxy that misbehaves on demand. Knows nothing of Trine.
