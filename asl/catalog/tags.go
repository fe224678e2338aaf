package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"switchyard/asl/apierror"
	"switchyard/asl/arns"
	"switchyard/asl/store"
)

// kindTags documents are kept under the ARN of what they tag.
const kindTags = "tags"

// maxTags is how many tags a resource may have, as with Step Functions.
const maxTags = 50

// Tag is a label of a state machine or an activity.
type Tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

var tagPattern = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)

// mergeTags puts given over present; equal keys keep their place.
func mergeTags(present, given []Tag) []Tag {
	merged := slices.Clone(present)
	for _, t := range given {
		at := slices.IndexFunc(merged, func(old Tag) bool { return old.Key == t.Key })
		if at < 0 {
			merged = append(merged, t)
		} else {
			merged[at] = t
		}
	}
	return merged
}

// validTags checks tags that are to be put over those a resource has.
func validTags(arn string, present, given []Tag) error {
	for i, t := range given {
		refuse := func(member, what string) error {
			return apierror.New(apierror.CodeValidation, "1 validation error detected: Value '%s' at 'tags.%d.member.%s' failed to satisfy constraint: Member must %s",
				map[string]string{"key": t.Key, "value": t.Value}[member], i+1, member, what)
		}
		switch {
		case t.Key == "":
			return refuse("key", "have length greater than or equal to 1")
		case utf8.RuneCountInString(t.Key) > 128:
			return refuse("key", "have length less than or equal to 128")
		case utf8.RuneCountInString(t.Value) > 256:
			return refuse("value", "have length less than or equal to 256")
		case !tagPattern.MatchString(t.Key):
			return refuse("key", "consist of letters, digits, white space and _.:/=+-@")
		case !tagPattern.MatchString(t.Value):
			return refuse("value", "consist of letters, digits, white space and _.:/=+-@")
		case len(t.Key) >= 4 && strings.EqualFold(t.Key[:4], "aws:"):
			return refuse("key", "not begin with aws:, which is reserved")
		}
	}
	if n := len(mergeTags(present, given)); n > maxTags {
		err := apierror.New(apierror.CodeTooManyTags, "The resource would have %d tags, the limit is %d", n, maxTags)
		err.Resource = arn
		return err
	}
	return nil
}

func tagsDoc(arn string, tags []Tag) (store.Doc, error) {
	body, err := json.Marshal(tags)
	if err != nil {
		return store.Doc{}, apierror.Unavailable(fmt.Errorf("encode tags of %s: %w", arn, err))
	}
	return store.Doc{Kind: kindTags, Key: arn, Body: body}, nil
}

// taggable checks that arn is that of something which can have tags: an
// activity or a state machine, but none of its versions and aliases.
func (c *Catalog) taggable(ctx context.Context, arn string) error {
	missing := apierror.New(apierror.CodeResourceNotFound, "Resource not found: '%s'", arn)
	missing.Resource = arn
	if kind, _, ok := arns.Split(arn); ok && kind == "activity" {
		if _, err := c.Activity(arn); err != nil {
			return missing
		}
		return nil
	}
	name, qualifier, err := c.names.ParseMachine(arn)
	if gone(err) != nil {
		return err
	}
	if err != nil || qualifier != "" {
		return missing
	}
	m, err := c.Machine(ctx, name)
	if err == nil && m == nil {
		return missing
	}
	return err
}

// Tags returns the tags of a resource in the order in which they came.
func (c *Catalog) Tags(ctx context.Context, arn string) ([]Tag, error) {
	if err := c.taggable(ctx, arn); err != nil {
		return nil, err
	}
	return c.readTags(ctx, arn)
}

func (c *Catalog) readTags(ctx context.Context, arn string) ([]Tag, error) {
	body, err := c.store.Doc(ctx, kindTags, arn)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	var tags []Tag
	if err == nil {
		err = json.Unmarshal(body, &tags)
	}
	if err != nil {
		return nil, apierror.Unavailable(fmt.Errorf("read tags of %s: %w", arn, err))
	}
	return tags, nil
}

// Tag gives a resource tags, in the place of those it has with the same keys.
func (c *Catalog) Tag(ctx context.Context, arn string, given []Tag) error {
	return c.retag(ctx, arn, func(present []Tag) ([]Tag, error) {
		return mergeTags(present, given), validTags(arn, present, given)
	})
}

// Untag takes the tags with these keys from a resource.
func (c *Catalog) Untag(ctx context.Context, arn string, keys []string) error {
	return c.retag(ctx, arn, func(present []Tag) ([]Tag, error) {
		return slices.DeleteFunc(present, func(t Tag) bool { return slices.Contains(keys, t.Key) }), nil
	})
}

func (c *Catalog) retag(ctx context.Context, arn string, change func([]Tag) ([]Tag, error)) error {
	c.writes.Lock()
	defer c.writes.Unlock()
	if err := c.taggable(ctx, arn); err != nil {
		return err
	}
	tags, err := c.readTags(ctx, arn)
	if err != nil {
		return err
	}
	if tags, err = change(tags); err != nil {
		return err
	}
	doc, err := tagsDoc(arn, tags)
	if err != nil {
		return err
	}
	if err := store.Do(ctx, c.store, &store.Write{Docs: []store.Doc{doc}}); err != nil {
		return apierror.Unavailable(fmt.Errorf("save tags of %s: %w", arn, err))
	}
	return nil
}
