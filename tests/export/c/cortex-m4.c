/* Start of a Cortex-M4 without a C library; a debugger or emulator prints (semihosting). */
#include "platform.h"
#include <stddef.h>
#include <stdint.h>

int main(void);
void start(void);
void *memcpy(void *to, const void *from, size_t count);
void *memset(void *to, int value, size_t count);
extern uint32_t stack_top, data_from, data_start, data_end, bss_start, bss_end;

static int request(int number, const void *argument)
{
    register int r0 __asm__("r0") = number;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void put(const char *text)
{
    request(0x04, text); /* SYS_WRITE0 */
}

static void failed(void)
{
    request(0x18, (const void *)0x20023); /* SYS_EXIT: a fault */
    for (;;) {
    }
}

void start(void)
{
    uint32_t *from = &data_from, *to;
#ifdef __ARM_FP
    *(volatile uint32_t *)0xe000ed88 |= 0xfu << 20; /* CPACR: the floating-point unit */
    __asm__ volatile("dsb\nisb");
#endif
    for (to = &data_start; to < &data_end;)
        *to++ = *from++;
    for (to = &bss_start; to < &bss_end;)
        *to++ = 0;
    main();
    request(0x18, (const void *)0x20026); /* SYS_EXIT: the program has ended */
    failed();
}

struct vectors {
    const void *stack;
    void (*handlers[15])(void);
};

__attribute__((section(".vectors"), used)) static const struct vectors vectors = {
    &stack_top, {start, failed, failed, failed, failed, failed},
};

/* The compiler calls these. */
void *memcpy(void *to, const void *from, size_t count)
{
    char *t = to;
    const char *f = from;
    while (count-- > 0)
        *t++ = *f++;
    return to;
}

void *memset(void *to, int value, size_t count)
{
    char *t = to;
    while (count-- > 0)
        *t++ = (char)value;
    return to;
}
