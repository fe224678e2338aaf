package app

// CloseListener takes the port away under a service, as no system call of its
// own does.
func (a *App) CloseListener() error { return a.public.Close() }
