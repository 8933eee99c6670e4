# tests/seed.py -- the seed of all tests: NHWC_TEST_SEED, 0 where it is not given
import os

SEED = int(os.environ.get("NHWC_TEST_SEED", "0") or "0")
SEED_GIVEN = bool(os.environ.get("NHWC_TEST_SEED"))
