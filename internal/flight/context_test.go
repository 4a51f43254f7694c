package flight

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestContext(t *testing.T) {
	t.Run("what a handler makes of it ends with it", func(t *testing.T) {
		for _, tt := range []struct {
			name  string
			child func(context.Context) (context.Context, context.CancelFunc)
		}{
			{"the context itself", func(c context.Context) (context.Context, context.CancelFunc) { return c, func() {} }},
			{"a child with a value", func(c context.Context) (context.Context, context.CancelFunc) {
				return context.WithValue(c, contextKey{}, "own"), func() {}
			}},
			{"a child that can be cancelled", context.WithCancel},
			{"a child with a deadline", func(c context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeout(c, time.Hour)
			}},
			{"a child's child", func(c context.Context) (context.Context, context.CancelFunc) {
				c, outer := context.WithCancel(c)
				c, inner := context.WithCancelCause(context.WithValue(c, contextKey{}, "own"))
				return c, func() { inner(nil); outer() }
			}},
		} {
			t.Run(tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := lead(t, NewGroup[string](limits), "a")
					leader, leave := context.WithCancelCause(context.WithValue(t.Context(), contextKey{}, "leader's"))
					ctx, end := begin(f, leader)
					defer end()
					child, cancel := tt.child(ctx)
					defer cancel()
					called := make(chan struct{})
					context.AfterFunc(child, func() { close(called) })
					undone := context.AfterFunc(child, func() { t.Error("was called though it had been stopped") })
					require.True(t, undone())
					synctest.Wait()
					require.NoError(t, child.Err())
					leave(errors.New("the leader's own reason"))
					<-called
					<-child.Done()
					require.ErrorIs(t, child.Err(), context.Canceled)
					require.ErrorIs(t, context.Cause(child), ErrLeft)
					require.NotNil(t, child.Value(contextKey{}))
				})
			})
		}
	})
	t.Run("it has no deadline of the leader", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g := NewGroup[string](limits)
			f := lead(t, g, "a")
			follow(t, g, "a", f)
			leader, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			ctx, end := begin(f, leader)
			defer end()
			_, ok := ctx.Deadline()
			require.False(t, ok)
			child, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			began := time.Now()
			<-child.Done()
			require.Equal(t, time.Minute, time.Since(began))
			require.ErrorIs(t, child.Err(), context.DeadlineExceeded)
			require.NoError(t, ctx.Err())
		})
	})
	t.Run("it ends for a handler that asks only now and then", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := lead(t, NewGroup[string](limits), "a")
			leader, leave := context.WithCancel(t.Context())
			ctx, end := begin(f, leader)
			defer end()
			require.NoError(t, ctx.Err())
			require.NoError(t, context.Cause(ctx))
			leave()
			require.ErrorIs(t, ctx.Err(), context.Canceled)
			require.ErrorIs(t, context.Cause(ctx), ErrLeft)
			<-ctx.Done()
		})
	})
	t.Run("the leader is not watched for a handler that does not ask", func(t *testing.T) {
		f := lead(t, NewGroup[string](limits), "a")
		leader, cancel := context.WithCancelCause(t.Context())
		ctx, end := begin(f, unwatched{leader, t})
		require.Nil(t, ctx.Value(contextKey{}))
		require.NoError(t, ctx.Err())
		f.Pin()
		f.Share("page")
		end()
		f.Finish()
		require.NoError(t, ctx.Err(), "what stands outside may go on")
		cancel(errors.New("the server is done"))
		require.ErrorIs(t, ctx.Err(), context.Canceled)
		<-ctx.Done()
		require.EqualError(t, context.Cause(ctx), "the server is done")
	})
	t.Run("it ends with the leader after the handler returned", func(t *testing.T) {
		for _, asked := range []string{"before it returned", "after that", "after the end"} {
			t.Run("Done is asked for "+asked, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := lead(t, NewGroup[string](limits), "a")
					leader, leave := context.WithCancelCause(t.Context())
					ctx, end := begin(f, leader)
					if asked == "before it returned" {
						_ = ctx.Done()
					}
					end()
					synctest.Wait()
					require.NoError(t, ctx.Err())
					if asked != "after the end" {
						select {
						case <-ctx.Done():
							t.Fatal("it has ended")
						default:
						}
					}
					leave(errors.New("the server is done"))
					<-ctx.Done()
					require.ErrorIs(t, ctx.Err(), context.Canceled)
					require.EqualError(t, context.Cause(ctx), "the server is done")
				})
			})
		}
	})
	t.Run("whoever keeps it does not keep the flight", func(t *testing.T) {
		f := lead(t, NewGroup[string](limits), "a")
		ctx, end := begin(f, t.Context())
		_ = ctx.Done()
		end()
		c := ctx.(*Context)
		require.Nil(t, c.flight)
		require.Nil(t, c.unhook)
	})
	t.Run("package context asks by one key", func(t *testing.T) {
		require.NotNil(t, causeKey, "or the cause of the end would be the leader's")
	})
}

// unwatched is a context that must not be waited for.
type unwatched struct {
	context.Context
	t *testing.T
}

func (u unwatched) Done() <-chan struct{} {
	u.t.Error("the leader's end is waited for")
	return nil
}
