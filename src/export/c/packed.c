/* The number of 1 bits. */
static int popcount(uint32_t x)
{
#if defined(__POPCNT__) || defined(__aarch64__) || defined(__riscv_zbb) || defined(__wasm__)
#define HAS_POPCOUNT 1 /* an instruction */
#else
#define HAS_POPCOUNT 0
#endif
#if HAS_POPCOUNT && defined(__GNUC__)
    return __builtin_popcount(x);
#else
    x -= x >> 1 & 0x55555555u;
    x = (x & 0x33333333u) + (x >> 2 & 0x33333333u);
    x = (x + (x >> 4)) & 0x0f0f0f0fu;
    return (int)((x * 0x01010101u) >> 24);
#endif
}

static int count_ones(const uint32_t *words, int count)
{
    int ones = 0, i;
    for (i = 0; i < count; i++)
        ones += popcount(words[i]);
    return ones;
}

static int count_common(const uint32_t *a, const uint32_t *b, int count)
{
    int ones = 0, i;
    for (i = 0; i < count; i++)
        ones += popcount(a[i] & b[i]);
    return ones;
}

/* Gathers the codes under the window at (y, x) as [bits][taps][words]; 0 outside the image. */
static void gather(const uint32_t *in, int channels, const struct window *window, int y, int x,
                   int bits, uint32_t *field)
{
    int words = (channels + 31) / 32;
    int plane = window->kernel[0] * window->kernel[1] * words;
    int r, s, b, i;
    for (r = 0; r < window->kernel[0]; r++) {
        for (s = 0; s < window->kernel[1]; s++, field += words) {
            int pixel = source(window, y, x, r, s);
            for (b = 0; b < bits; b++)
                for (i = 0; i < words; i++)
                    field[b * plane + i] = pixel < 0 ? 0 : in[(pixel * bits + b) * words + i];
        }
    }
}

/* Gathers 1-bit codes that stand for +1 and -1 as [2][taps][words]: the codes, then 1 for the
 * channels inside the image. */
static void gather_signs(const uint32_t *in, int channels, const struct window *window, int y,
                         int x, uint32_t *field)
{
    int words = (channels + 31) / 32;
    int plane = window->kernel[0] * window->kernel[1] * words;
    int r, s, i;
    for (r = 0; r < window->kernel[0]; r++) {
        for (s = 0; s < window->kernel[1]; s++, field += words) {
            int pixel = source(window, y, x, r, s);
            for (i = 0; i < words; i++) {
                field[i] = pixel < 0 ? 0 : in[pixel * words + i];
                field[plane + i] = pixel < 0 ? 0 : 0xffffffffu;
            }
            if (pixel >= 0)
                field[plane + words - 1] >>= words * 32 - channels;
        }
    }
}

/* Gathers codes as [levels][taps][words]: 1 where the code is at least 1, 2, ... */
static void gather_levels(const uint32_t *in, int channels, const struct window *window, int y,
                          int x, int bits, int levels, uint32_t *field)
{
    int words = (channels + 31) / 32;
    int plane = window->kernel[0] * window->kernel[1] * words;
    int r, s, b, i, level;
    for (r = 0; r < window->kernel[0]; r++) {
        for (s = 0; s < window->kernel[1]; s++, field += words) {
            int pixel = source(window, y, x, r, s);
            for (level = 1; level <= levels; level++) {
                for (i = 0; i < words; i++) {
                    uint32_t larger = 0, equal = pixel < 0 ? 0 : 0xffffffffu;
                    for (b = bits - 1; b >= 0 && pixel >= 0; b--) {
                        uint32_t word = in[(pixel * bits + b) * words + i];
                        if (level >> b & 1) {
                            equal &= word;
                        } else {
                            larger |= equal & word;
                            equal &= ~word;
                        }
                    }
                    field[(level - 1) * plane + i] = larger | equal;
                }
            }
        }
    }
}

/* Sums of codes times weights of +1 and -1, or of several such planes with the factors 1, 2, 4, ...
 * A bit of the codes counts +1 where the sign's bit is 1, else -1: twice the common ones minus all
 * ones. Signs are [filters][planes][words], the codes [bits][words] with the factors 1, 2, 4, ... */
static void sum_codes(const uint32_t *field, int bits, int words, const uint32_t *signs, int planes,
                      int filters, int32_t *out)
{
    int ones[4];
    int k, j, b;
    for (b = 0; b < bits; b++)
        ones[b] = count_ones(field + b * words, words);
    for (k = 0; k < filters; k++) {
        int32_t total = 0;
        for (j = 0; j < planes; j++, signs += words)
            for (b = 0; b < bits; b++)
                total += (2 * count_common(signs, field + b * words, words) - ones[b]) * (1 << (b + j));
        out[k] = total;
    }
}

/* The same of codes that stand for +1 and -1: the number of channels minus twice the differences.
 * The field is from gather_signs. */
static void sum_signs(const uint32_t *field, int words, const uint32_t *signs, int planes,
                      int filters, int32_t *out)
{
    const uint32_t *inside = field + words;
    int count = count_ones(inside, words);
    int k, j, i;
    for (k = 0; k < filters; k++) {
        int32_t total = 0;
        for (j = 0; j < planes; j++, signs += words) {
            int differences = 0;
            for (i = 0; i < words; i++)
                differences += popcount((signs[i] ^ field[i]) & inside[i]);
            total += (count - 2 * differences) * (1 << j);
        }
        out[k] = total;
    }
}

/* Adds each sum times its coefficient. */
static void accumulate(const int32_t *sums, const float *coefficients, int count, float *out)
{
    int i;
    for (i = 0; i < count; i++)
        out[i] += coefficients[i] * (float)sums[i];
}
