/* The sum of x[i] * w[i]. */
static float dot(const float *x, const float *w, int count)
{
    float total = 0.0f;
    int i;
    for (i = 0; i < count; i++)
        total += x[i] * w[i];
    return total;
}

/* Convolution of floats: the pixel (y, x). Weights are [filters][taps][channels]. Terms of the sum
 * are up to CHUNK channels of a tap; `run` of them are added one after the other. */
static void conv(const float *in, int channels, const struct window *window, int y, int x,
                 const float *weights, int filters, int run, float *out)
{
    int k, r, s, from;
    for (k = 0; k < filters; k++) {
        struct sum sum;
        sum_start(&sum, run);
        for (r = 0; r < window->kernel[0]; r++) {
            for (s = 0; s < window->kernel[1]; s++) {
                int pixel = source(window, y, x, r, s);
                for (from = 0; from < channels; from += CHUNK) {
                    int count = channels - from < CHUNK ? channels - from : CHUNK;
                    float term = 0.0f;
                    if (pixel >= 0)
                        term = dot(in + pixel * channels + from, weights + from, count);
                    sum_add(&sum, term);
                }
                weights += channels;
            }
        }
        out[k] = sum_total(&sum);
    }
}

/* The mean of the window at (y, x) in each channel; the padding counts as zeros. */
static void average(const float *in, int channels, const struct window *window, int y, int x,
                    float *out)
{
    int taps = window->kernel[0] * window->kernel[1];
    int c, r, s;
    for (c = 0; c < channels; c++) {
        struct sum sum;
        sum_start(&sum, CHUNK);
        for (r = 0; r < window->kernel[0]; r++) {
            for (s = 0; s < window->kernel[1]; s++) {
                int pixel = source(window, y, x, r, s);
                if (pixel >= 0)
                    sum_add(&sum, in[pixel * channels + c]);
            }
        }
        out[c] = sum_total(&sum) / (float)taps;
    }
}

static void fill_floats(float *out, int count, float value)
{
    int i;
    for (i = 0; i < count; i++)
        out[i] = value;
}

/* The larger values: into `out`. */
static void larger_floats(const float *in, int count, float *out)
{
    int i;
    for (i = 0; i < count; i++)
        if (in[i] > out[i])
            out[i] = in[i];
}

/* The largest value of the window at (y, x) in each channel. */
static void max_floats(const float *in, int channels, const struct window *window, int y, int x,
                       float *out)
{
    int r, s;
    fill_floats(out, channels, -INFINITY);
    for (r = 0; r < window->kernel[0]; r++) {
        for (s = 0; s < window->kernel[1]; s++) {
            int pixel = source(window, y, x, r, s);
            if (pixel >= 0)
                larger_floats(in + pixel * channels, channels, out);
        }
    }
}

/* The sum of the magnitudes of each pixel's channels: four interleaved sums. */
static void magnitudes(const float *in, int pixels, int channels, float *out)
{
    int pixel, lane, c;
    for (pixel = 0; pixel < pixels; pixel++, in += channels) {
        float lanes[4];
        for (lane = 0; lane < 4; lane++) {
            struct sum sum;
            sum_start(&sum, CHUNK);
            for (c = lane; c < channels; c += 4)
                sum_add(&sum, in[c] < 0.0f ? -in[c] : in[c]);
            lanes[lane] = sum_total(&sum);
        }
        out[pixel] = (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
    }
}

/* The mean magnitude under the window at (y, x), of `count` numbers with the padding. */
static void mean_magnitude(const float *sizes, const struct window *window, int y, int x,
                           float count, float *out)
{
    struct sum sum;
    int r, s;
    sum_start(&sum, CHUNK);
    for (r = 0; r < window->kernel[0]; r++) {
        for (s = 0; s < window->kernel[1]; s++) {
            int pixel = source(window, y, x, r, s);
            if (pixel >= 0)
                sum_add(&sum, sizes[pixel]);
        }
    }
    *out = sum_total(&sum) / count;
}

/* The elements in the order channels, pixels. */
static void flatten(const float *in, int pixels, int channels, float *out)
{
    int c, pixel;
    for (c = 0; c < channels; c++)
        for (pixel = 0; pixel < pixels; pixel++)
            *out++ = in[pixel * channels + c];
}

static void copy_floats(const float *in, int count, float *out)
{
    int i;
    for (i = 0; i < count; i++)
        out[i] = in[i];
}

static void add(const float *a, const float *b, int count, float *out)
{
    int i;
    for (i = 0; i < count; i++)
        out[i] = a[i] + b[i];
}

static void multiply(const float *a, const float *b, int count, float *out)
{
    int i;
    for (i = 0; i < count; i++)
        out[i] = a[i] * b[i];
}

static void scale(const float *in, int count, float factor, float *out)
{
    int i;
    for (i = 0; i < count; i++)
        out[i] = in[i] * factor;
}

static void divide(const float *in, int count, float divisor, float *out)
{
    int i;
    for (i = 0; i < count; i++)
        out[i] = in[i] / divisor;
}

static void relu(const float *in, int count, float *out)
{
    int i;
    for (i = 0; i < count; i++)
        out[i] = in[i] > 0.0f ? in[i] : 0.0f;
}

static void prelu(const float *in, int count, const float *slopes, float *out)
{
    int i;
    for (i = 0; i < count; i++)
        out[i] = in[i] > 0.0f ? in[i] : slopes[i] * in[i];
}

/* The nearest integer; ties to even. Adding 2^23 to a smaller magnitude removes its fraction. */
static float nearest(float x)
{
    const float integers = 8388608.0f;
    float magnitude = x < 0.0f ? -x : x;
    if (!(magnitude > 0.0f && magnitude < integers))
        return x;
    magnitude = (magnitude + integers) - integers;
    return x < 0.0f ? -magnitude : magnitude;
}

/* The nearest multiple of `step`, a power of two with the inverse `steps`, in low..high. */
static void fixed_point(const float *in, int count, float low, float high, float steps, float step,
                        float *out)
{
    int i;
    for (i = 0; i < count; i++) {
        float x = in[i] < low ? low : in[i] > high ? high : in[i];
        out[i] = nearest(x * steps) * step;
    }
}
