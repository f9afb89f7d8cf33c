// SPDX-License-Identifier: MIT
using System;

namespace Guestwire
{
    /// <summary>guestwire-call VM-ID PORT METHOD [PARAMS]: one call, the answer on stdout.</summary>
    public static class Program
    {
        public static int Main(string[] args)
        {
            if (args.Length < 3 || args.Length > 4)
            {
                Console.Error.WriteLine("usage: guestwire-call VM-ID PORT METHOD [PARAMS]");
                return 2;
            }
            try
            {
                using (GuestwireClient client =
                           GuestwireClient.Connect(new Guid(args[0]), uint.Parse(args[1])))
                    Console.WriteLine(client.Call(args[2], args.Length > 3 ? args[3] : null));
                return 0;
            }
            catch (GuestException e)
            {
                Console.Error.WriteLine("the guest said no: {0} (code {1})", e.Message, e.Code);
                return 1;
            }
            catch (Exception e)
            {
                Console.Error.WriteLine(e.Message);
                return 3;
            }
        }
    }
}
