
#if INT_MAX < 2147483647
#error "int must have at least 32 bits"
#endif
#if FLT_RADIX != 2 || FLT_MANT_DIG != 24
#error "float must have the 32-bit format of IEEE 754"
#endif
#if FLT_EVAL_METHOD != 0 && FLT_EVAL_METHOD != 16
#error "expressions of floats must be computed in float; for 32-bit x86: -msse2 -mfpmath=sse"
#endif
#ifdef __FAST_MATH__
#error "sums need the order in which they are written: compile this file without -ffast-math"
#endif

/* A product is rounded before it is added, on every processor. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("fp-contract=off")
#else
#pragma STDC FP_CONTRACT OFF
#endif

