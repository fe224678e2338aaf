// Package journal keeps deliveries, requests and statuses in one SQLite file.
//
// The file is in WAL mode with synchronous=FULL: a commit returns only after
// the log is on disk. One goroutine owns all writes. It takes every delivery
// that waits into one transaction, so that they share an fsync, and adds a
// bounded amount of the other writes that wait; reads go over connections of
// their own and wait for nobody.
package journal
