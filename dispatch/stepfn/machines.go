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
	// owner is the place of a state machine's executions, by their ARNs up to the
	// name, and neighbour that of any state machine in an account and region,
	// for executions of one that is not known.
	owner, neighbour map[string]Place
}

// PrepareStateMachines checks what a changed config names as state machines, and
// dials new places. The function that it returns replaces the known ones; it
// cannot fail, and is safe for concurrent use with every other method. A name
// that the config has no more is still known: requests that were made for it
// are yet to be started.
func (c *Client) PrepareStateMachines(configured map[string]Machine) (apply func(), err error) {
	next := &machines{
		byName: make(map[string]machine, len(configured)), apis: map[Place]API{},
		owner: map[string]Place{}, neighbour: map[string]Place{},
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
		m.place.Role, m.place.ExternalID = given.Role, given.ExternalID
		if m.api = next.apis[m.place]; m.api == nil {
			if m.api = before.apis[m.place]; m.api == nil {
				if m.api, err = c.dial(m.place); err != nil {
					return nil, fmt.Errorf("state_machines.%s: %w", name, err)
				}
			}
			next.apis[m.place] = m.api
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
			next.apis[m.place] = m.api
			next.owner[m.executions] = m.place
			next.neighbour[m.account] = m.place
		}
		c.known.Store(next)
	}, nil
}

// PlaceOf is the place in which an execution's state machine is.
func (c *Client) PlaceOf(executionARN string) (Place, error) {
	known := c.known.Load()
	if place, ok := known.owner[executionARN[:strings.LastIndexByte(executionARN, ':')+1]]; ok {
		return place, nil
	}
	a, err := arn.Parse(executionARN)
	if err != nil {
		return Place{}, fmt.Errorf("%q is not the ARN of an execution", executionARN)
	}
	if place, ok := known.neighbour[accountOf(a)]; ok {
		return place, nil
	}
	return Place{Region: a.Region}, nil
}

// at is the API that is asked for an execution.
func (c *Client) at(executionARN string) (API, error) {
	place, err := c.PlaceOf(executionARN)
	if err != nil {
		return nil, err
	}
	if api := c.known.Load().apis[place]; api != nil {
		return api, nil
	}
	return c.dial(place)
}

// accountOf names an account in a region.
func accountOf(a arn.ARN) string { return a.Partition + ":" + a.Region + ":" + a.AccountID }
