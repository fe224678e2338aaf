package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/user"
	"strings"

	"github.com/spf13/cobra"

	"switchyard/cmd/switchyard/internal/app"
	"switchyard/config"
	"switchyard/dispatch/api"
	"switchyard/internal/awssecret"
)

// clientFlags say which service a command speaks to, and as whom.
type clientFlags struct{ config, server, token string }

func (c *cli) clientFlags(cmd *cobra.Command) *clientFlags {
	f := &clientFlags{}
	c.configFlag(cmd, &f.config)
	cmd.Flags().StringVar(&f.server, "server", "", "`URL` of the service; also SWITCHYARD_SERVER; else the config says where it listens")
	cmd.Flags().StringVar(&f.token, "token-file", "", "`file` with an API token; else SWITCHYARD_TOKEN, else the config's or the service's own")
	return f
}

// client finds the service. On the service's own machine the config is enough:
// it names the address and the folder with the token.
func (c *cli) client(ctx context.Context, f *clientFlags) (*api.Client, error) {
	server := f.server
	if server == "" {
		server, _ = c.env("SWITCHYARD_SERVER")
	}
	token, _ := c.env("SWITCHYARD_TOKEN")
	if f.token != "" {
		text, err := os.ReadFile(f.token)
		if err != nil {
			return nil, fmt.Errorf("--token-file: %w", err)
		}
		token = strings.TrimSpace(string(text))
	}
	if server != "" && token != "" {
		return api.NewClient(server, token), nil
	}
	// Offline, so that a shell without the service's secrets will do.
	cfg, err := config.Load(f.config, config.Offline())
	if err == nil && token == "" && len(cfg.Server.APITokens) > 0 {
		cfg, err = config.Load(f.config, fromAWS(ctx, awssecret.New()))
	}
	if err != nil {
		return nil, fmt.Errorf("to find the service, give --server and SWITCHYARD_TOKEN, or --config: %w", err)
	}
	if server == "" {
		server = localURL(cfg.Server.Listen)
	}
	if token == "" {
		tokens, err := app.APITokens(cfg)
		if err != nil {
			return nil, fmt.Errorf("no API token; start the service once, or give SWITCHYARD_TOKEN: %w", err)
		}
		token = tokens[0]
	}
	return api.NewClient(server, token), nil
}

// localURL is how to reach a listener from its own machine.
func localURL(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "http://" + listen
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// caller is who acts, for the record.
func caller() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "hand"
}
