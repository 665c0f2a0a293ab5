/* What exported networks use of <limits.h>. */
#define INT_MAX __INT_MAX__
