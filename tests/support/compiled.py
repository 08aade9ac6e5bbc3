"""Code that XLA has compiled for a test, kept for later tests, for the other worker and for processes of the tests."""

from tests.support.project import ROOT

COMPILED = ROOT / ".pytest_cache" / "compiled"
SHARING = {
    "JAX_COMPILATION_CACHE_DIR": str(COMPILED),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    "JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES": "none",
}
"""Environment variables of a process that reads what others have compiled; others do as their store says."""
