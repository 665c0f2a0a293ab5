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

/* The largest sum of the window at (y, x) in each channel. */
static void max_sums(const int32_t *in, int channels, const struct window *window, int y, int x,
                     int32_t *out)
{
    int c, r, s;
    for (c = 0; c < channels; c++)
        out[c] = INT32_MIN;
    for (r = 0; r < window->kernel[0]; r++) {
        for (s = 0; s < window->kernel[1]; s++) {
            int pixel = source(window, y, x, r, s);
            if (pixel < 0)
                continue;
            for (c = 0; c < channels; c++)
                if (in[pixel * channels + c] > out[c])
                    out[c] = in[pixel * channels + c];
        }
    }
}
