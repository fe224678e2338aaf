// Package freeport finds addresses for servers that tests and benchmarks run as
// processes of their own.
package freeport

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// Linux hands out ports from 32768 on its own, other systems from 49152.
const (
	lowest = 10000
	handed = 32768
)

var given sync.Map // the addresses that this process has had

// Address is one of the loopback, as "127.0.0.1:10000", at which nobody listens.
// A process can listen there, end and listen there again: the system gives the
// port to no other connection or listener in between. No two calls return the same.
func Address() (string, error) {
	var (
		lc   net.ListenConfig
		last error
	)
	for range 100 {
		address := fmt.Sprint("127.0.0.1:", lowest+rand.IntN(handed-lowest))
		if _, taken := given.LoadOrStore(address, true); taken {
			continue
		}
		l, err := lc.Listen(context.Background(), "tcp", address)
		if err == nil {
			return address, l.Close()
		}
		last = err
	}
	return "", fmt.Errorf("find a free port: %w", last)
}
