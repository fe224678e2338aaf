package app

// CloseListener takes the port away under a service, as no system call of its
// own does.
func (a *App) CloseListener() error { return a.public.Close() }

// Credentials are what builds would fetch from cloneURL with.
func (a *App) Credentials(cloneURL string) (user, password string, ok bool) {
	return a.embedded.credentials.find(cloneURL)
}
