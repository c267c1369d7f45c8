// The non-template parts of Asio and Beast, once for the whole program instead of in every unit.
#include <boost/asio/impl/src.hpp>
#include <boost/beast/src.hpp>
