/* Prints text. */
void put(const char *text);
