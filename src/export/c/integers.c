static void to_floats(const int32_t *in, int count, float *out)
{
    int i;
    for (i = 0; i < count; i++)
        out[i] = (float)in[i];
}

static void copy_sums(const int32_t *in, int count, int32_t *out)
{
    int i;
    for (i = 0; i < count; i++)
        out[i] = in[i];
}

static void fill_sums(int32_t *out, int count, int32_t value)
{
    int i;
    for (i = 0; i < count; i++)
        out[i] = value;
}

/* The larger sums: into `out`. */
static void larger_sums(const int32_t *in, int count, int32_t *out)
{
    int i;
    for (i = 0; i < count; i++)
        if (in[i] > out[i])
            out[i] = in[i];
}

/* The largest sum of the window at (y, x) in each channel. */
static void max_sums(const int32_t *in, int channels, const struct window *window, int y, int x,
                     int32_t *out)
{
    int r, s;
    fill_sums(out, channels, INT32_MIN);
    for (r = 0; r < window->kernel[0]; r++) {
        for (s = 0; s < window->kernel[1]; s++) {
            int pixel = source(window, y, x, r, s);
            if (pixel >= 0)
                larger_sums(in + pixel * channels, channels, out);
        }
    }
}
