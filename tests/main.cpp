// tests/main.cpp -- the C++ test runner
#include <cfloat>  // of which doctest reads a name

#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
