package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"switchyard/asl/apierror"
	"switchyard/asl/arns"
	"switchyard/asl/store"
)

// kindActivity documents are kept under the activity's name.
const kindActivity = "activity"

// Activity describes an activity.
type Activity struct {
	Name string `json:"name"`
	// Created is in Unix milliseconds.
	Created int64  `json:"created"`
	ARN     string `json:"-"`
}

// loadActivities reads what the store has of activities.
func (c *Catalog) loadActivities(ctx context.Context) error {
	err := store.EachDoc(ctx, c.store, kindActivity, func(d store.Doc) error {
		a := &Activity{ARN: c.names.Activity(d.Key)}
		c.activities[d.Key] = a
		return json.Unmarshal(d.Body, a)
	})
	if err != nil {
		return fmt.Errorf("read activities: %w", err)
	}
	return nil
}

// Activity finds an activity by its ARN.
func (c *Catalog) Activity(arn string) (*Activity, error) {
	name, err := c.names.ParseActivity(arn)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.activities[name]
	if a == nil {
		return nil, arns.NoActivity(arn)
	}
	return a, nil
}

// CreateActivity makes an activity, or returns the one that has the name,
// whatever its tags.
func (c *Catalog) CreateActivity(ctx context.Context, name string, tags ...Tag) (*Activity, error) {
	if !arns.ValidName(name) {
		return nil, apierror.New(apierror.CodeInvalidName, "Invalid Name: '%s'", name)
	}
	if err := validTags(c.names.Activity(name), nil, tags); err != nil {
		return nil, err
	}
	c.activityWrites.Lock()
	defer c.activityWrites.Unlock()
	if a, err := c.Activity(c.names.Activity(name)); err == nil {
		return a, nil
	}
	a := &Activity{Name: name, Created: c.now().UnixMilli(), ARN: c.names.Activity(name)}
	body, err := json.Marshal(a)
	if err != nil {
		return nil, apierror.Unavailable(fmt.Errorf("encode activity %s: %w", name, err))
	}
	docs := []store.Doc{{Kind: kindActivity, Key: name, Body: body}}
	if len(tags) > 0 {
		doc, err := tagsDoc(a.ARN, mergeTags(nil, tags))
		if err != nil {
			return nil, err
		}
		docs = append(docs, doc)
	}
	err = c.keep(ctx, &store.Write{Docs: docs})
	if err != nil {
		return nil, apierror.Unavailable(fmt.Errorf("create activity %s: %w", name, err))
	}
	c.mu.Lock()
	c.activities[name] = a
	c.mu.Unlock()
	return a, nil
}

// DescribeActivity returns one activity.
func (c *Catalog) DescribeActivity(_ context.Context, arn string) (*Activity, error) {
	return c.Activity(arn)
}

// DeleteActivity deletes an activity; one that does not exist is no error.
// Tasks that wait for a worker go on waiting, for the activity may come back.
func (c *Catalog) DeleteActivity(ctx context.Context, arn string) error {
	name, err := c.names.ParseActivity(arn)
	var known *apierror.Error
	if errors.As(err, &known) && known.Code == apierror.CodeActivityDoesNotExist {
		return nil
	}
	if err != nil {
		return err
	}
	c.activityWrites.Lock()
	defer c.activityWrites.Unlock()
	if err := c.keep(ctx, &store.Write{Docs: []store.Doc{{Kind: kindActivity, Key: name}, {Kind: kindTags, Key: arn}}}); err != nil {
		return apierror.Unavailable(fmt.Errorf("delete activity %s: %w", name, err))
	}
	c.mu.Lock()
	delete(c.activities, name)
	c.mu.Unlock()
	return nil
}

// ListActivities returns up to limit activities in order of name, from the
// first after after.
func (c *Catalog) ListActivities(ctx context.Context, after string, limit int) ([]*Activity, error) {
	docs, err := c.store.Docs(ctx, kindActivity, after, limit)
	if err != nil {
		return nil, apierror.Unavailable(err)
	}
	found := make([]*Activity, len(docs))
	for i, d := range docs {
		found[i] = &Activity{ARN: c.names.Activity(d.Key)}
		if err := json.Unmarshal(d.Body, found[i]); err != nil {
			return nil, apierror.Unavailable(fmt.Errorf("decode activity %s: %w", d.Key, err))
		}
	}
	return found, nil
}
