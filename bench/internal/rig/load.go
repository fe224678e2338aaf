package rig

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Ack is one answered delivery.
type Ack struct {
	Delivery   *Delivery
	Status     int
	Executions []string
	Took       time.Duration
	// At is when the answer was read.
	At time.Time
}

// Load sends deliveries over conns connections, each with one request under
// way, until they are used up or ctx ends. It returns the answers in no
// particular order; a connection that breaks ends its share without an error,
// since the crash benchmark breaks them on purpose.
func Load(ctx context.Context, host string, conns int, deliveries []Delivery) ([]Ack, error) {
	var next atomic.Int64
	answers := make([][]Ack, conns)
	errs := make([]error, conns)
	var wg sync.WaitGroup
	for c := range conns {
		wg.Go(func() {
			answers[c], errs[c] = connection(ctx, host, func() *Delivery {
				i := next.Add(1) - 1
				if i >= int64(len(deliveries)) || ctx.Err() != nil {
					return nil
				}
				return &deliveries[i]
			})
		})
	}
	wg.Wait()
	return slices.Concat(answers...), errors.Join(errs...)
}

func connection(ctx context.Context, host string, next func() *Delivery) ([]Ack, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, nil // the server is not there, or not yet
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Now().Add(2 * time.Second)) })()
	var acks []Ack
	r := bufio.NewReaderSize(conn, 16<<10)
	for del := next(); del != nil; del = next() {
		start := time.Now()
		if _, err := conn.Write(del.Request); err != nil {
			return acks, nil
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return acks, nil
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return acks, nil
		}
		now := time.Now()
		ack := Ack{Delivery: del, Status: resp.StatusCode, Took: now.Sub(start), At: now}
		if resp.StatusCode == http.StatusAccepted {
			var answer struct{ Executions []string }
			if err := json.Unmarshal(body, &answer); err != nil {
				return acks, fmt.Errorf("delivery %s: answer %q: %w", del.ID, body, err)
			}
			ack.Executions = answer.Executions
		}
		acks = append(acks, ack)
	}
	return acks, nil
}

// Quantile is the q-quantile of how long the answers took.
func Quantile(acks []Ack, q float64) time.Duration {
	if len(acks) == 0 {
		return 0
	}
	took := make([]time.Duration, len(acks))
	for i, a := range acks {
		took[i] = a.Took
	}
	slices.Sort(took)
	return took[min(int(q*float64(len(took))), len(took)-1)]
}
