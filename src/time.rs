//! Instants and the forms in which Logpush writes them.
