package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"switchyard/asl/apierror"
	"switchyard/asl/store"
)

// kindAlias documents are kept under MACHINE/NAME.
const kindAlias = "alias"

// Route sends a part of an alias's executions to a version.
type Route struct {
	VersionARN string
	// Weight is in percent.
	Weight int
}

// Alias is a name for one or two versions of a state machine.
type Alias struct {
	ARN         string
	Name        string
	Description string
	Routes      []Route
	// Created and Updated are in Unix milliseconds.
	Created int64
	Updated int64
}

// aliasBody is an alias as it is stored.
type aliasBody struct {
	Name        string       `json:"name"`
	Description string       `json:"description,omitempty"`
	Routes      []aliasRoute `json:"routes"`
	Created     int64        `json:"created"`
	Updated     int64        `json:"updated"`
}

type aliasRoute struct {
	Version int `json:"version"`
	Weight  int `json:"weight"`
}

func (a *aliasBody) leadsTo(version int) bool {
	return slices.ContainsFunc(a.Routes, func(r aliasRoute) bool { return r.Version == version })
}

// choose takes a version by the weights, with a random number in [0,1).
func (a *aliasBody) choose(random func() float64) int {
	at := random() * 100
	for _, r := range a.Routes {
		if at -= float64(r.Weight); at < 0 {
			return r.Version
		}
	}
	return a.Routes[len(a.Routes)-1].Version
}

func (c *Catalog) aliasOf(machine string, a *aliasBody) *Alias {
	routes := make([]Route, len(a.Routes))
	for i, r := range a.Routes {
		routes[i] = Route{c.names.Version(machine, r.Version), r.Weight}
	}
	return &Alias{
		ARN: c.names.Machine(machine) + ":" + a.Name, Name: a.Name, Description: a.Description,
		Routes: routes, Created: a.Created, Updated: a.Updated,
	}
}

// alias reads an alias; nil when there is none.
func (c *Catalog) alias(ctx context.Context, machine, name string) (*aliasBody, error) {
	body, err := c.store.Doc(ctx, kindAlias, machine+"/"+name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, apierror.Unavailable(err)
	}
	return decodeAlias(machine, body)
}

func decodeAlias(machine string, body []byte) (*aliasBody, error) {
	a := &aliasBody{}
	if err := json.Unmarshal(body, a); err != nil {
		return nil, apierror.Unavailable(fmt.Errorf("decode alias of %s: %w", machine, err))
	}
	if len(a.Routes) == 0 {
		return nil, apierror.Unavailable(fmt.Errorf("alias %s of %s leads nowhere", a.Name, machine))
	}
	return a, nil
}

// aliases lists the aliases of a machine in order of name, from the first
// after after.
func (c *Catalog) aliases(ctx context.Context, machine, after string, limit int) ([]*aliasBody, error) {
	docs, err := c.under(ctx, kindAlias, machine+"/", after, limit)
	if err != nil {
		return nil, err
	}
	list := make([]*aliasBody, len(docs))
	for i, d := range docs {
		if list[i], err = decodeAlias(machine, d.Body); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// Step Functions takes no name that could be a version's number.
var (
	aliasPattern = regexp.MustCompile(`^[a-zA-Z0-9_\-.]+$`)
	aliasLetter  = regexp.MustCompile(`[a-zA-Z_\-.]`)
)

func validAliasName(name string) error {
	switch {
	case len(name) > 80:
		return apierror.New(apierror.CodeValidation, "1 validation error detected: Value '%s' at 'name' failed to satisfy constraint: Member must have length less than or equal to 80", name)
	case !aliasPattern.MatchString(name) || !aliasLetter.MatchString(name):
		return apierror.New(apierror.CodeValidation, `1 validation error detected: Value '%s' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: ^(?=.*[a-zA-Z_\-\.])[a-zA-Z0-9_\-\.]+$`, name)
	}
	return nil
}

// reasonRouting is the reason of a ValidationException about weights.
const reasonRouting = "INVALID_ROUTING_CONFIGURATION"

// routes checks a routing configuration and gives the machine that it is for.
func (c *Catalog) routes(given []Route) (machine string, routes []aliasRoute, err error) {
	refuse := func(format string, args ...any) (string, []aliasRoute, error) {
		err := apierror.New(apierror.CodeValidation, format, args...)
		err.Reason = reasonRouting
		return "", nil, err
	}
	constraint := func(at, what string, value any) (string, []aliasRoute, error) {
		return "", nil, apierror.New(apierror.CodeValidation, "1 validation error detected: Value '%v' at '%s' failed to satisfy constraint: Member must have %s", value, at, what)
	}
	var arns, weights, items []string
	sum := 0
	for i, r := range given {
		switch at := fmt.Sprintf("routingConfiguration.%d.member.weight", i+1); {
		case r.Weight < 0:
			return constraint(at, "value greater than or equal to 0", r.Weight)
		case r.Weight > 100:
			return constraint(at, "value less than or equal to 100", r.Weight)
		}
		sum += r.Weight
		arns, weights = append(arns, r.VersionARN), append(weights, strconv.Itoa(r.Weight))
		items = append(items, fmt.Sprintf("RoutingConfigurationListItem(stateMachineVersionArn=%s, weight=%d)", r.VersionARN, r.Weight))
	}
	received := "[" + strings.Join(arns, ", ") + "]"
	switch {
	case len(given) == 0:
		return constraint("routingConfiguration", "length greater than or equal to 1", "[]")
	case len(given) > 2:
		return constraint("routingConfiguration", "length less than or equal to 2", "["+strings.Join(items, ", ")+"]")
	}
	for _, r := range given {
		name, qualifier, err := c.names.ParseMachine(r.VersionARN)
		var known *apierror.Error
		if errors.As(err, &known) && known.Code == apierror.CodeInvalidArn {
			return "", nil, err
		}
		number, ok := versionNumber(qualifier)
		switch {
		case err != nil: // of another region or account
			return "", nil, noAlias("")
		case !ok:
			return refuse("Routing configuration must contain state machine version ARNs. Received: %s", received)
		case machine != "" && name != machine:
			return refuse("Routing configuration must contain versions of the same state machine. Received: %s", received)
		}
		machine = name
		routes = append(routes, aliasRoute{number, r.Weight})
	}
	switch {
	case len(routes) == 2 && routes[0].Version == routes[1].Version:
		return refuse("Routing configuration must contain distinct state machine version ARNs. Received: %s", received)
	case sum != 100:
		return refuse("Sum of routing configuration weights must equal 100. Received: [%s]", strings.Join(weights, ", "))
	}
	return machine, routes, nil
}

func noAlias(arn string) *apierror.Error {
	err := apierror.New(apierror.CodeResourceNotFound, "Request references a resource that does not exist.")
	err.Resource = arn
	return err
}

// published checks that the versions of a routing configuration exist.
func (c *Catalog) published(ctx context.Context, machine string, routes []aliasRoute) error {
	for _, r := range routes {
		v, err := c.version(ctx, machine, r.Version)
		if err != nil {
			return err
		}
		if v == nil {
			return noAlias(c.names.Version(machine, r.Version))
		}
	}
	return nil
}

func (c *Catalog) saveAlias(ctx context.Context, machine string, a *aliasBody) (*Alias, error) {
	body, err := json.Marshal(a)
	if err == nil {
		err = store.Do(ctx, c.store, &store.Write{Docs: []store.Doc{{Kind: kindAlias, Key: machine + "/" + a.Name, Body: body}}})
	}
	if err != nil {
		return nil, apierror.Unavailable(fmt.Errorf("save alias %s of %s: %w", a.Name, machine, err))
	}
	return c.aliasOf(machine, a), nil
}

// CreateAlias makes an alias of the state machine that the routes lead to.
// Doing so again with the same content returns the one that is there; with
// other content it is ConflictException.
func (c *Catalog) CreateAlias(ctx context.Context, name, description string, given []Route) (*Alias, error) {
	if err := validAliasName(name); err != nil {
		return nil, err
	}
	if err := validDescription("description", description); err != nil {
		return nil, err
	}
	machine, routes, err := c.routes(given)
	if err != nil {
		return nil, err
	}
	c.writes.Lock()
	defer c.writes.Unlock()
	m, err := c.Machine(ctx, machine)
	if err != nil {
		return nil, err
	}
	if m != nil && m.Status == MachineDeleting {
		return nil, apierror.New(apierror.CodeStateMachineDeleting, "State Machine Is Deleting: '%s'", m.ARN)
	}
	if err := c.published(ctx, machine, routes); err != nil {
		return nil, err
	}
	present, err := c.aliases(ctx, machine, "", maxAliases)
	if err != nil {
		return nil, err
	}
	for _, a := range present {
		switch {
		case a.Name != name:
		case a.Description == description && slices.Equal(a.Routes, routes):
			return c.aliasOf(machine, a), nil
		default:
			return nil, apierror.New(apierror.CodeConflict, "Failed to create alias because an alias with the same name and a different routing configuration already exists.")
		}
	}
	if len(present) >= maxAliases {
		return nil, apierror.New(apierror.CodeServiceQuotaExceeded, "The state machine %s has %d aliases, which is the limit; delete aliases that are not used", c.names.Machine(machine), maxAliases)
	}
	now := c.now().UnixMilli()
	return c.saveAlias(ctx, machine, &aliasBody{Name: name, Description: description, Routes: routes, Created: now, Updated: now})
}

// findAlias reads the alias with this ARN, and its machine's name.
func (c *Catalog) findAlias(ctx context.Context, arn string) (machine string, a *aliasBody, err error) {
	machine, name, err := c.names.ParseMachine(arn)
	if gone(err) != nil {
		return "", nil, err
	}
	if _, number := versionNumber(name); err != nil || name == "" || number {
		return "", nil, noAlias(arn)
	}
	if a, err = c.alias(ctx, machine, name); err == nil && a == nil {
		err = noAlias(arn)
	}
	return machine, a, err
}

// UpdateAlias changes the description and the routes of an alias, where they
// are not nil.
func (c *Catalog) UpdateAlias(ctx context.Context, arn string, description *string, given []Route) (*Alias, error) {
	if description == nil && given == nil {
		err := apierror.New(apierror.CodeValidation, "Either the description or the routingConfiguration must be specified")
		err.Reason = "MISSING_REQUIRED_PARAMETER"
		return nil, err
	}
	var routes []aliasRoute
	var of string
	if given != nil {
		var err error
		if of, routes, err = c.routes(given); err != nil {
			return nil, err
		}
	}
	c.writes.Lock()
	defer c.writes.Unlock()
	machine, a, err := c.findAlias(ctx, arn)
	if err != nil {
		return nil, err
	}
	if description != nil {
		if err := validDescription("description", *description); err != nil {
			return nil, err
		}
		a.Description = *description
	}
	if given != nil {
		if of != machine {
			err := apierror.New(apierror.CodeValidation, "Routing configuration must contain versions of the alias's own state machine. Received: %s", given[0].VersionARN)
			err.Reason = reasonRouting
			return nil, err
		}
		if err := c.published(ctx, machine, routes); err != nil {
			return nil, err
		}
		a.Routes = routes
	}
	a.Updated = c.now().UnixMilli()
	return c.saveAlias(ctx, machine, a)
}

// DeleteAlias deletes an alias; one that does not exist is no error.
func (c *Catalog) DeleteAlias(ctx context.Context, arn string) error {
	c.writes.Lock()
	defer c.writes.Unlock()
	machine, a, err := c.findAlias(ctx, arn)
	var known *apierror.Error
	if errors.As(err, &known) && known.Code == apierror.CodeResourceNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	drop := store.Doc{Kind: kindAlias, Key: machine + "/" + a.Name}
	if err := store.Do(ctx, c.store, &store.Write{Docs: []store.Doc{drop}}); err != nil {
		return apierror.Unavailable(fmt.Errorf("delete alias %s: %w", arn, err))
	}
	return nil
}

// DescribeAlias returns one alias.
func (c *Catalog) DescribeAlias(ctx context.Context, arn string) (*Alias, error) {
	machine, a, err := c.findAlias(ctx, arn)
	if err != nil {
		return nil, err
	}
	return c.aliasOf(machine, a), nil
}

// ListAliases returns up to limit aliases of a state machine, or of one of its
// versions, in order of name, from the first after after.
func (c *Catalog) ListAliases(ctx context.Context, arn, after string, limit int) ([]*Alias, error) {
	name, qualifier, err := c.names.ParseMachine(arn)
	if err != nil {
		return nil, err
	}
	version, isVersion := versionNumber(qualifier)
	m, err := c.Machine(ctx, name)
	if err != nil {
		return nil, err
	}
	if m == nil || qualifier != "" && !isVersion {
		return nil, apierror.New(apierror.CodeStateMachineDoesNotExist, "State Machine Does Not Exist: '%s'", arn)
	}
	all, err := c.aliases(ctx, name, after, maxAliases)
	if err != nil {
		return nil, err
	}
	var list []*Alias
	for _, a := range all {
		if len(list) < limit && (!isVersion || a.leadsTo(version)) {
			list = append(list, c.aliasOf(name, a))
		}
	}
	return list, nil
}
