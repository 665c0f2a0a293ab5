/* Prints the class and the bits of the logits of each image. */
#include "images.h"
#include "platform.h"

static void put_number(uint32_t value, unsigned base, int digits)
{
    char text[12];
    int at = 11;
    text[at] = 0;
    do {
        text[--at] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0 || 11 - at < digits);
    put(text + at);
}

static uint32_t bits_of(float value)
{
    union {
        float value;
        uint32_t bits;
    } both;
    both.value = value;
    return both.bits;
}

int main(void)
{
    static struct net_memory memory;
    static float logits[NET_CLASSES], others[NET_CLASSES];
    int image, i;
    for (image = 0; image < IMAGES; image++) {
        const uint8_t *bytes = images + image * (NET_IMAGE_HEIGHT * NET_IMAGE_WIDTH * NET_IMAGE_CHANNELS);
        unsigned char *byte = (unsigned char *)&memory;
        for (i = 0; i < (int)sizeof memory; i++)
            byte[i] = 0xff; /* contents do not matter */
        net_logits(bytes, logits);
        net_logits_in(&memory, bytes, others);
        for (i = 0; i < NET_CLASSES; i++)
            if (bits_of(logits[i]) != bits_of(others[i]))
                put("DIFFERS ");
        if (net_classify(bytes) != net_classify_in(&memory, bytes) || sizeof memory != NET_RAM)
            put("DIFFERS ");
        put_number((uint32_t)net_classify(bytes), 10, 1);
        for (i = 0; i < NET_CLASSES; i++) {
            put(" ");
            put_number(bits_of(logits[i]), 16, 8);
        }
        put("\n");
    }
    for (i = 0; i < NET_CLASSES; i++) {
        put(net_class_names[i]);
        put("\n");
    }
    return 0;
}
