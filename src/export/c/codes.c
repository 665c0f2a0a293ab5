/* The code of a channel. */
static uint32_t get_code(const uint32_t *codes, int bits, int words, int channel)
{
    uint32_t code = 0;
    int b;
    for (b = 0; b < bits; b++)
        code |= (codes[b * words + channel / 32] >> (channel % 32) & 1u) << b;
    return code;
}

/* Sets the code of a channel, which must be 0 before. */
static void set_code(uint32_t *codes, int words, int channel, uint32_t code)
{
    for (codes += channel / 32; code != 0; code >>= 1, codes += words)
        *codes |= (code & 1u) << (channel % 32);
}

static void clear_codes(uint32_t *codes, int words)
{
    int i;
    for (i = 0; i < words; i++)
        codes[i] = 0;
}

/* Sums to codes: the number of thresholds that a sum reaches. Thresholds are [channels][steps]. */
static void count_reached(const int32_t *in, int channels, const threshold *thresholds, int steps,
                          int bits, uint32_t *out)
{
    int words = (channels + 31) / 32;
    int c, i;
    clear_codes(out, bits * words);
    for (c = 0; c < channels; c++, thresholds += steps) {
        uint32_t code = 0;
        for (i = 0; i < steps; i++)
            code += in[c] >= thresholds[i];
        set_code(out, words, c, code);
    }
}

/* The same, but of the negative sum in channels whose bit of `falling` is 1. */
static void count_reached_mixed(const int32_t *in, int channels, const threshold *thresholds,
                                int steps, const uint32_t *falling, int bits, uint32_t *out)
{
    int words = (channels + 31) / 32;
    int c, i;
    clear_codes(out, bits * words);
    for (c = 0; c < channels; c++, thresholds += steps) {
        int32_t x = falling[c / 32] >> (c % 32) & 1u ? -in[c] : in[c];
        uint32_t code = 0;
        for (i = 0; i < steps; i++)
            code += x >= thresholds[i];
        set_code(out, words, c, code);
    }
}

/* Floats to codes: the number of thresholds below x. */
static void count_below(const float *in, int channels, const float *thresholds, int steps, int bits,
                        uint32_t *out)
{
    int words = (channels + 31) / 32;
    int c, i;
    clear_codes(out, bits * words);
    for (c = 0; c < channels; c++) {
        uint32_t code = 0;
        for (i = 0; i < steps; i++)
            code += in[c] > thresholds[i];
        set_code(out, words, c, code);
    }
}

/* Floats to codes: the number of thresholds that are at most x. */
static void count_at_most(const float *in, int channels, const float *thresholds, int steps,
                          int bits, uint32_t *out)
{
    int words = (channels + 31) / 32;
    int c, i;
    clear_codes(out, bits * words);
    for (c = 0; c < channels; c++) {
        uint32_t code = 0;
        for (i = 0; i < steps; i++)
            code += in[c] >= thresholds[i];
        set_code(out, words, c, code);
    }
}

/* Codes to the floats that they stand for. */
static void decode(const uint32_t *in, int channels, const float *values, int bits, float *out)
{
    int c;
    for (c = 0; c < channels; c++)
        out[c] = values[get_code(in, bits, (channels + 31) / 32, c)];
}

/* The larger codes, 32 channels at a time: into `out`. */
static void larger_codes(const uint32_t *in, int bits, int words, uint32_t *out)
{
    int b, i;
    for (i = 0; i < words; i++) {
        uint32_t larger = 0, equal = 0xffffffffu;
        for (b = bits - 1; b >= 0; b--) {
            uint32_t x = in[b * words + i], y = out[b * words + i];
            larger |= equal & x & ~y;
            equal &= ~(x ^ y);
        }
        for (b = 0; b < bits; b++) {
            uint32_t *y = &out[b * words + i];
            *y = (in[b * words + i] & larger) | (*y & ~larger);
        }
    }
}

/* The largest code of the window at (y, x) in each channel. */
static void max_codes(const uint32_t *in, int channels, const struct window *window, int y, int x,
                      int bits, uint32_t *out)
{
    int words = (channels + 31) / 32;
    int r, s;
    clear_codes(out, bits * words);
    for (r = 0; r < window->kernel[0]; r++) {
        for (s = 0; s < window->kernel[1]; s++) {
            int pixel = source(window, y, x, r, s);
            if (pixel >= 0)
                larger_codes(in + pixel * bits * words, bits, words, out);
        }
    }
}

/* Copies the codes of some channels, from one channel on, to another channel on. */
static void copy_codes(const uint32_t *in, int in_words, int from, int count, int bits,
                       uint32_t *out, int out_words, int to)
{
    int c;
    for (c = 0; c < count; c++)
        set_code(out, out_words, to + c, get_code(in, bits, in_words, from + c));
}

/* The 1-bit codes of the pixel (y, x); ones outside the image. */
static void pad(const uint32_t *in, int channels, const struct window *window, int y, int x,
                uint32_t *out)
{
    int words = (channels + 31) / 32;
    int pixel = source(window, y, x, 0, 0);
    int i;
    for (i = 0; i < words; i++)
        out[i] = pixel >= 0 ? in[pixel * words + i] : 0xffffffffu;
    if (pixel < 0)
        out[words - 1] >>= words * 32 - channels;
}
