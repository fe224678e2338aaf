package stepfn

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

// machines are the state machines that are known, and the APIs of their places.
type machines struct {
	byName map[string]machine
	// apis has the API of each place.
	apis map[Place]API
	// owner is the API with which a state machine's executions are asked for,
	// by the state machine's own ARN, and neighbour that of any state machine
	// in an account and region, for executions of one that is not known.
	owner, neighbour map[string]API
}

// PrepareStateMachines checks what a changed config names as state machines, and
// dials new places. The function that it returns replaces the known ones; it
// cannot fail, and is safe for concurrent use with every other method. A name
// that the config has no more is still known: requests that were made for it
// are yet to be started.
func (c *Client) PrepareStateMachines(configured map[string]Machine) (apply func(), err error) {
	next := &machines{
		byName: make(map[string]machine, len(configured)), apis: map[Place]API{},
		owner: map[string]API{}, neighbour: map[string]API{},
	}
	before := c.known.Load()
	if before == nil {
		before = &machines{}
	}
	for name, given := range configured {
		m, err := parseMachine(given.ARN)
		if err != nil {
			return nil, fmt.Errorf("state_machines.%s.arn: %w", name, err)
		}
		place := Place{Region: m.region, Role: given.Role, ExternalID: given.ExternalID}
		if m.api = next.apis[place]; m.api == nil {
			if m.api = before.apis[place]; m.api == nil {
				if m.api, err = c.dial(place); err != nil {
					return nil, fmt.Errorf("state_machines.%s: %w", name, err)
				}
			}
			next.apis[place] = m.api
		}
		next.byName[name] = m
	}
	return func() {
		if last := c.known.Load(); last != nil {
			for name, m := range last.byName {
				if _, ok := next.byName[name]; !ok {
					next.byName[name] = m
				}
			}
		}
		for _, m := range next.byName {
			next.owner[m.executions] = m.api
			next.neighbour[m.account] = m.api
		}
		c.known.Store(next)
	}, nil
}

// at is the API that is asked for an execution.
func (c *Client) at(executionARN string) (API, error) {
	known := c.known.Load()
	prefix := executionARN[:strings.LastIndexByte(executionARN, ':')+1]
	if api := known.owner[prefix]; api != nil {
		return api, nil
	}
	a, err := arn.Parse(executionARN)
	if err != nil {
		return nil, fmt.Errorf("%q is not the ARN of an execution", executionARN)
	}
	if api := known.neighbour[accountOf(a)]; api != nil {
		return api, nil
	}
	return c.dial(Place{Region: a.Region})
}

// accountOf names an account in a region.
func accountOf(a arn.ARN) string { return a.Partition + ":" + a.Region + ":" + a.AccountID }
