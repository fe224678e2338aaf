package freeport

import (
	"net"
	"testing"
)

func TestAddressIsFreeAndKeptFree(t *testing.T) {
	seen := map[string]bool{}
	for range 200 {
		address, err := Address()
		if err != nil {
			t.Fatal(err)
		}
		if seen[address] {
			t.Errorf("%s came twice", address)
		}
		seen[address] = true
		for range 2 { // as a process that is started again
			l, err := net.Listen("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			if port := l.Addr().(*net.TCPAddr).Port; port >= handed {
				t.Errorf("port %d is one that the system hands out", port)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
