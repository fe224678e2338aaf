package router_test

import (
	"fmt"

	"switchyard/internal/event"
	"switchyard/router"
)

func ExampleRouter_Plan() {
	r, err := router.New(router.Config{Routes: []router.Route{
		{Name: "branches", Branches: []string{"feature/**"}, StateMachine: "deploy", Environment: "dev-{{ .Branch | slug }}"},
		{Name: "one level", Branches: []string{"feature/*"}, StateMachine: "deploy"},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	plan := r.Plan(event.Event{
		Source: "github", Kind: event.Push, Ref: "refs/heads/feature/login/form",
		Repository: event.Repository{FullName: "acme/web"},
		Commits: []event.Commit{
			{SHA: "5f1d6c2b8a4e3f7091b2c3d4e5f60718293a4b5c"},
			{SHA: "c0ffee254729296a45a3885639ac7e10f9d54979"},
		},
	})
	for _, q := range plan.Requests {
		fmt.Println(q.ID, q.Environment)
	}
	for _, ignored := range plan.Ignored {
		fmt.Printf("%s: %s\n", ignored.Route, ignored.Reason)
	}
	// Output:
	// acme-web-5f1d6c2b8a4e-branches-1aa93f2ce569af7a dev-feature-login-form-6a0ce37
	// acme-web-c0ffee254729-branches-17507d6b035aa0f1 dev-feature-login-form-6a0ce37
	// one level: branch "feature/login/form" does not match "feature/*": "*" stops at "/"; "feature/**" would match
}
