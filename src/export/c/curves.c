static void clipped_relu(const float *in, int count, float most, float *out)
{
    int i;
    for (i = 0; i < count; i++)
        out[i] = in[i] < 0.0f ? 0.0f : in[i] > most ? most : in[i];
}

static void hard_tanh(const float *in, int count, float *out)
{
    int i;
    for (i = 0; i < count; i++)
        out[i] = in[i] < -1.0f ? -1.0f : in[i] > 1.0f ? 1.0f : in[i];
}

static void leaky_relu(const float *in, int count, float slope, float *out)
{
    int i;
    for (i = 0; i < count; i++)
        out[i] = in[i] > 0.0f ? in[i] : slope * in[i];
}

static void log_tailed_relu(const float *in, int count, float most, float *out)
{
    int i;
    for (i = 0; i < count; i++) {
        float x = in[i] > 0.0f ? in[i] : 0.0f;
        out[i] = in[i] > most ? most + logf(in[i] - most + 1.0f) : x;
    }
}

static void hyperbolic_tangent(const float *in, int count, float *out)
{
    int i;
    for (i = 0; i < count; i++) {
        float e = expf(-2.0f * fabsf(in[i]));
        float y = (1.0f - e) / (1.0f + e);
        out[i] = in[i] < 0.0f ? -y : y;
    }
}

static float logistic(float x)
{
    float e = expf(-fabsf(x));
    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

static void sigmoid(const float *in, int count, float *out)
{
    int i;
    for (i = 0; i < count; i++)
        out[i] = logistic(in[i]);
}

static void silu(const float *in, int count, float *out)
{
    int i;
    for (i = 0; i < count; i++)
        out[i] = in[i] * logistic(in[i]);
}
