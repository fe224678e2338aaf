package app

import (
	"reflect"
	"sync"
)

// clients keeps a client of its API for each source of one kind of host, by the
// source's name. All that asks the API of a source shares it, and so its limits and
// what it remembers; a reload keeps it while nothing about it changes.
type clients[Config, Client any] struct {
	mu   sync.Mutex
	made map[string]client[Config, Client]
}

type client[Config, Client any] struct {
	cfg Config
	is  Client
}

// of returns the client of a source, which is made if there is none with the
// config.
func (c *clients[Config, Client]) of(source string, cfg Config, make func(Config) (Client, error)) (Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if kept, ok := c.made[source]; ok && reflect.DeepEqual(kept.cfg, cfg) {
		return kept.is, nil
	}
	made, err := make(cfg)
	if err != nil {
		return made, err
	}
	if c.made == nil {
		c.made = map[string]client[Config, Client]{}
	}
	c.made[source] = client[Config, Client]{cfg, made}
	return made, nil
}
