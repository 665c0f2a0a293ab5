/* Terms that are added one after the other. */
enum { CHUNK = 128 };

/* A sum of floats in a fixed order: runs of `length` terms are added one term after the other, and
 * the runs in pairs: neighbours, then neighbouring pairs, and so on. Runs without a partner wait,
 * one for each set bit of their number. */
struct sum {
    int length;
    int terms; /* in the current run */
    float run;
    uint32_t runs;
    int waiting;
    float wait[32];
};

static void sum_start(struct sum *sum, int length)
{
    sum->length = length;
    sum->terms = 0;
    sum->run = 0.0f;
    sum->runs = 0;
    sum->waiting = 0;
}

static void sum_end_run(struct sum *sum)
{
    float value = sum->run;
    uint32_t bits;
    for (bits = sum->runs; bits & 1; bits >>= 1)
        value = sum->wait[--sum->waiting] + value;
    sum->wait[sum->waiting++] = value;
    sum->runs++;
    sum->terms = 0;
    sum->run = 0.0f;
}

static void sum_add(struct sum *sum, float term)
{
    if (sum->terms == sum->length)
        sum_end_run(sum);
    sum->run += term;
    sum->terms++;
}

static float sum_total(struct sum *sum)
{
    float total;
    if (sum->runs == 0)
        return sum->run;
    sum_end_run(sum);
    total = sum->wait[--sum->waiting];
    while (sum->waiting > 0)
        total = sum->wait[--sum->waiting] + total;
    return total;
}
