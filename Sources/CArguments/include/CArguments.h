// The arguments as the kernel passed them. Swift's own list comes from /proc/self/cmdline, which is empty if /proc is not
// mounted. No logic.
#ifndef CARGUMENTS_H
#define CARGUMENTS_H

// What main() gets: stored before main runs, and never changed afterwards.
extern int ca_kept_count;
extern char **ca_kept_values;
static inline int ca_count(void) { return ca_kept_count; }
static inline const char *ca_value(int index) { return ca_kept_values[index]; }

#endif
