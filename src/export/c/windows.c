/* A sliding window over an image. Pairs are down and right. */
struct window {
    int input[2]; /* height and width of the image */
    int kernel[2];
    int stride[2];
    int padding[2];
    int dilation[2];
};

/* The pixel under tap (r, s) of the window at (y, x); -1 outside the image. */
static int source(const struct window *window, int y, int x, int r, int s)
{
    int row = y * window->stride[0] + r * window->dilation[0] - window->padding[0];
    int column = x * window->stride[1] + s * window->dilation[1] - window->padding[1];
    if (row < 0 || row >= window->input[0] || column < 0 || column >= window->input[1])
        return -1;
    return row * window->input[1] + column;
}
