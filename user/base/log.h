/*
 * log: lines for the operator on stderr: time, level, text. Never customer data (fields marked pii); the
 * engine thread logs only what is rare. One write a line.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

enum log_level { LOG_INFO, LOG_WARNING, LOG_FAILURE };

__attribute__((format(printf, 2, 3))) void log_line(enum log_level level, const char *format, ...);
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_failure(...) log_line(LOG_FAILURE, __VA_ARGS__)

#endif
