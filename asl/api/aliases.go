package api

import (
	"context"

	"switchyard/asl/catalog"
	"switchyard/asl/engine"
)

type aliasIn struct {
	StateMachineAliasArn string `json:"stateMachineAliasArn"`
}

type route struct {
	StateMachineVersionArn string `json:"stateMachineVersionArn"`
	Weight                 int    `json:"weight"`
}

// routesOf is nil where no routing configuration was given.
func routesOf(given []route) []catalog.Route {
	if given == nil {
		return nil
	}
	routes := make([]catalog.Route, len(given))
	for i, r := range given {
		routes[i] = catalog.Route{VersionARN: r.StateMachineVersionArn, Weight: r.Weight}
	}
	return routes
}

type createStateMachineAliasIn struct {
	Name                 string  `json:"name"`
	Description          string  `json:"description"`
	RoutingConfiguration []route `json:"routingConfiguration"`
}

type aliasItem struct {
	StateMachineAliasArn string `json:"stateMachineAliasArn"`
	CreationDate         epoch  `json:"creationDate"`
}

func createStateMachineAlias(ctx context.Context, e *engine.Engine, in *createStateMachineAliasIn) (*aliasItem, error) {
	if err := required("name", in.Name); err != nil {
		return nil, err
	}
	if in.RoutingConfiguration == nil {
		return nil, required("routingConfiguration", "")
	}
	a, err := e.Catalog().CreateAlias(ctx, in.Name, in.Description, routesOf(in.RoutingConfiguration))
	if err != nil {
		return nil, err
	}
	return &aliasItem{a.ARN, epoch(a.Created)}, nil
}

type updateStateMachineAliasIn struct {
	aliasIn
	Description          *string `json:"description"`
	RoutingConfiguration []route `json:"routingConfiguration"`
}

type updateStateMachineAliasOut struct {
	UpdateDate epoch `json:"updateDate"`
}

func updateStateMachineAlias(ctx context.Context, e *engine.Engine, in *updateStateMachineAliasIn) (*updateStateMachineAliasOut, error) {
	if err := required("stateMachineAliasArn", in.StateMachineAliasArn); err != nil {
		return nil, err
	}
	a, err := e.Catalog().UpdateAlias(ctx, in.StateMachineAliasArn, in.Description, routesOf(in.RoutingConfiguration))
	if err != nil {
		return nil, err
	}
	return &updateStateMachineAliasOut{epoch(a.Updated)}, nil
}

func deleteStateMachineAlias(ctx context.Context, e *engine.Engine, in *aliasIn) (*empty, error) {
	if err := required("stateMachineAliasArn", in.StateMachineAliasArn); err != nil {
		return nil, err
	}
	return &empty{}, e.Catalog().DeleteAlias(ctx, in.StateMachineAliasArn)
}

type describeStateMachineAliasOut struct {
	StateMachineAliasArn string  `json:"stateMachineAliasArn"`
	Name                 string  `json:"name"`
	Description          string  `json:"description,omitempty"`
	RoutingConfiguration []route `json:"routingConfiguration"`
	CreationDate         epoch   `json:"creationDate"`
	UpdateDate           epoch   `json:"updateDate"`
}

func describeStateMachineAlias(ctx context.Context, e *engine.Engine, in *aliasIn) (*describeStateMachineAliasOut, error) {
	if err := required("stateMachineAliasArn", in.StateMachineAliasArn); err != nil {
		return nil, err
	}
	a, err := e.Catalog().DescribeAlias(ctx, in.StateMachineAliasArn)
	if err != nil {
		return nil, err
	}
	out := &describeStateMachineAliasOut{
		StateMachineAliasArn: a.ARN, Name: a.Name, Description: a.Description, CreationDate: epoch(a.Created), UpdateDate: epoch(a.Updated),
	}
	for _, r := range a.Routes {
		out.RoutingConfiguration = append(out.RoutingConfiguration, route{r.VersionARN, r.Weight})
	}
	return out, nil
}

type listStateMachineAliasesOut struct {
	StateMachineAliases []aliasItem `json:"stateMachineAliases"`
	NextToken           string      `json:"nextToken,omitempty"`
}

func listStateMachineAliases(ctx context.Context, e *engine.Engine, in *listOfMachineIn) (*listStateMachineAliasesOut, error) {
	if err := required("stateMachineArn", in.StateMachineArn); err != nil {
		return nil, err
	}
	limit, err := page(in.MaxResults, 1000)
	if err != nil {
		return nil, err
	}
	list := "aliases " + in.StateMachineArn
	after, err := readToken(in.NextToken, list)
	if err != nil {
		return nil, err
	}
	found, err := e.Catalog().ListAliases(ctx, in.StateMachineArn, after, limit+1)
	if err != nil {
		return nil, err
	}
	out := &listStateMachineAliasesOut{StateMachineAliases: []aliasItem{}}
	for i, a := range found {
		if i == limit {
			out.NextToken = newToken(list, found[i-1].Name)
			break
		}
		out.StateMachineAliases = append(out.StateMachineAliases, aliasItem{a.ARN, epoch(a.Created)})
	}
	return out, nil
}
