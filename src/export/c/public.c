void name_logits_in(struct name_memory *memory, const uint8_t *image, float *logits)
{
    const float *result = run(memory, image);
    int i;
    for (i = 0; i < NAME_CLASSES; i++)
        logits[i] = result[i];
}

int name_classify_in(struct name_memory *memory, const uint8_t *image)
{
    const float *logits = run(memory, image);
    int best = 0, i;
    for (i = 1; i < NAME_CLASSES; i++)
        if (logits[i] > logits[best])
            best = i;
    return best;
}

#ifndef NAME_NO_STATIC_MEMORY
static struct name_memory static_memory;

void name_logits(const uint8_t *image, float *logits)
{
    name_logits_in(&static_memory, image, logits);
}

int name_classify(const uint8_t *image)
{
    return name_classify_in(&static_memory, image);
}
#endif
